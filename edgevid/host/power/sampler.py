"""The process that samples a sensor: ``python -m edgevid.host.power.sampler``. Standard library only.

Its parent writes one JSON line, ``{"source": {...}, "interval_s": 0.05, "cpus": [3]}``, and it replies with
``{}`` after the first reading, or with ``{"error": ...}``. From then on each byte of standard input asks for
a reading at once. At the end of the input, also when the parent dies, it takes a last reading and writes all
of them as one JSON line.

A reading is taken at a random time within each interval: a load that repeats at a multiple of the interval
would otherwise always be met at the same point.

| source | a reading |
|---|---|
| ``{"files": [...], "pattern": ""}`` | the number in each file; with a pattern, its matches in their lines |
| ``{"command": [...], "pattern": "..."}`` | the matches in what the command prints |
| ``{"nvml": [[uuid, "energy"], ...]}`` | mJ ("energy") or mW ("power", "instant") of each GPU; needs pynvml |
| ``{"csv": path}``, ``{"serial": device, "baud": 9600}``, ``{"http": url}`` | a meter's: ``meter_lines`` |
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from edgevid.host.power.meter_lines import READERS, WAIT_S

Row = tuple[int, Sequence[float]]
"""The time in ns of the monotonic clock, and the numbers."""
COMMAND_LIMIT_S = 3.0


def main() -> int:
    request = json.loads(sys.stdin.buffer.readline())
    cpu = pin(request["cpus"])
    try:
        read = reader(request["source"])
        rows = first_rows(read)
    except Exception as error:  # of a driver, a file, a meter: the parent reports it
        reply({"error": words(error)})
        return 1
    reply({})
    start_s = time.process_time()
    failed, why = sample(read, rows, request["interval_s"])
    reply(
        {
            "times_ns": [row[0] for row in rows],
            "columns": [list(column) for column in zip(*(row[1] for row in rows))],
            "failed": failed,
            "why": why,
            "cpu": cpu,
            "cpu_s": time.process_time() - start_s,
        }
    )
    return 0


def sample(read: Callable[[], Iterable[Row]], rows: list[Row], interval_s: float) -> tuple[int, str]:
    """Add to ``rows`` until the end of standard input; returns how many reads failed, and why the last."""
    wake, ended = threading.Event(), threading.Event()
    threading.Thread(target=_listen, args=(wake, ended), daemon=True).start()
    failed, why = 0, ""
    start, turn = time.monotonic(), 0
    while True:
        last = ended.is_set()  # before the reading, so that the last one is later than the end
        try:
            rows += [row for row in read() if len(row[1]) == len(rows[0][1])]
        except Exception as error:
            failed, why = failed + 1, words(error)
        if last:
            return failed, why
        now = time.monotonic() - start
        turn = max(turn + 1, int(now / interval_s))
        if wake.wait(max(0.0, (turn + random.random()) * interval_s - now)):
            wake.clear()


def _listen(wake: threading.Event, ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        wake.set()
    ended.set()
    wake.set()


def first_rows(read: Callable[[], Iterable[Row]]) -> list[Row]:
    """The first reading; a meter's line may have to be waited for."""
    end = time.monotonic() + WAIT_S
    while not (rows := list(read())):
        if time.monotonic() > end:
            raise ValueError(f"no number came within {WAIT_S:g} s")
        time.sleep(0.02)
    return rows


def reader(source: dict[str, Any]) -> Callable[[], Iterable[Row]]:
    """A function that reads ``source`` once, and returns its rows."""
    if "files" in source:
        return _timed(lambda: numbers("\n".join(map(_text, source["files"])), source["pattern"]))
    if "command" in source:
        return _timed(lambda: numbers(_output(source["command"]), source["pattern"]))
    if "nvml" in source:
        return _timed(_nvml(source["nvml"]))
    (kind,) = set(READERS) & set(source)
    return READERS[kind](source)


def _timed(read: Callable[[], Sequence[float]]) -> Callable[[], list[Row]]:
    def rows() -> list[Row]:
        before = time.monotonic_ns()
        values = read()
        return [((before + time.monotonic_ns()) // 2, values)]

    return rows


def numbers(text: str, pattern: str = "") -> list[float]:
    """One number per line, or the groups of all matches of ``pattern``; ``ValueError`` if there is none."""
    if not pattern:
        return [float(line) for line in text.split("\n")]
    found = re.findall(pattern, text)
    if not found:
        raise ValueError(f"the sensor reads {' '.join(text.split())[:80]!r}")
    return [float(group) for match in found for group in ((match,) if isinstance(match, str) else match)]


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT_S, check=True
    )
    return done.stdout.decode(errors="replace")


def _nvml(gpus: Sequence[Sequence[str]]) -> Callable[[], list[float]]:
    import pynvml

    pynvml.nvmlInit()
    handles = [(pynvml.nvmlDeviceGetHandleByUUID(uuid), kind) for uuid, kind in gpus]

    def read_one(handle: Any, kind: str) -> float:
        if kind == "energy":
            return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        if kind == "power":
            return float(pynvml.nvmlDeviceGetPowerUsage(handle))
        (value,) = pynvml.nvmlDeviceGetFieldValues(handle, [pynvml.NVML_FI_DEV_POWER_INSTANT])
        if value.nvmlReturn:
            raise pynvml.NVMLError(value.nvmlReturn)
        return float(value.value.uiVal)

    return lambda: [read_one(handle, kind) for handle, kind in handles]


def pin(cpus: Sequence[int]) -> int | None:
    """Stay on the first of ``cpus`` that is allowed; returns it, or None."""
    for cpu in cpus:
        with contextlib.suppress(OSError, AttributeError):  # not in this container; no such call
            os.sched_setaffinity(0, {cpu})
            return cpu
    return None


def words(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename} cannot be read: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def reply(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
