"""Start a worker for one measurement, follow its progress, and return its result or a clear error."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from edgevid.benchmarks.harness.protocol import Progress, Request, Settings, error_from
from edgevid.benchmarks.harness.scenarios import scenario_named
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL

WORKER = (sys.executable, "-m", "edgevid.benchmarks.harness.worker")
SILENCE_LIMIT_S = 300.0
DEFAULTS = Settings()


def measure(
    bundle: str | Path,
    scenario: str = "single-stream",
    duration_s: float | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    worker: Sequence[str] | None = None,
    silence_limit_s: float = SILENCE_LIMIT_S,
    device: str = LOCAL,
    settings: Settings = DEFAULTS,
    pinned: bool = True,
    power: str | None = None,
    profile: bool = False,
) -> dict[str, Any]:
    """Measure ``bundle`` for ``duration_s`` seconds, or as long as the scenario takes by default, in a fresh
    process; returns one result.

    ``device`` is "local" or the address of a board, ``power`` what to measure power with
    (``probes.power_probe``); with ``profile`` the result says where the time goes. ``progress`` is called
    with each ``Progress`` of the worker. ``worker`` is the command of a process that implements ``protocol``.
    Raises ``BenchmarkError`` if the worker sends nothing for ``silence_limit_s`` seconds, dies, or ends
    without a result, and the worker's own ``EdgevidError`` if it reports one. The worker has always ended
    when this function returns or raises.
    """
    duration_s = duration_s or scenario_named(scenario).duration_s
    request = Request(str(bundle), scenario, duration_s, threads, device, settings, pinned, power, profile)
    with tempfile.TemporaryFile() as stderr, _running(worker or WORKER, request, stderr) as process:
        last = Progress("starting")
        try:
            for event in _events(process, silence_limit_s):
                if event["event"] == "result":
                    return event["result"]
                if event["event"] == "error":
                    raise error_from(event)
                last = Progress(**{key: value for key, value in event.items() if key != "event"})
                if progress is not None:
                    progress(last)
        except queue.Empty:
            raise BenchmarkError(
                f"the measuring process did not respond for {silence_limit_s:g} s while {last.phase}, "
                "so it was ended: try fewer --threads, or 'edgevid run' to see whether the bundle runs at all"
            ) from None
        raise BenchmarkError(_exit_reason(process.wait(), last.phase, stderr))


@contextlib.contextmanager
def _running(
    command: Sequence[str], request: Request, stderr: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    # PYTHONSAFEPATH (Python 3.11): a module in the current folder must not shadow numpy.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
        )
    except OSError as error:
        raise BenchmarkError(f"the measuring process does not start ({error}): reinstall edgevid") from error
    assert process.stdin and process.stdout  # both are pipes
    try:
        with contextlib.suppress(BrokenPipeError):  # it died at once, which the reader of its events reports
            process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _events(process: subprocess.Popen[bytes], silence_limit_s: float) -> Iterator[dict[str, Any]]:
    """The worker's events until it closes its output; ``queue.Empty`` if none comes in time."""
    lines: queue.Queue[bytes | None] = queue.Queue()

    def read() -> None:  # in a thread, because a blocking read has no timeout
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := lines.get(timeout=silence_limit_s)) is not None:
        with contextlib.suppress(ValueError):  # a line cut short by the worker's death
            yield json.loads(line)


def _exit_reason(status: int, phase: str, stderr: IO[bytes]) -> str:
    """One line about a worker that ended without a result; ``status`` is ``Popen.returncode``."""
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    last_line = f" Its last line on stderr: {lines[-1].strip()}." if lines else ""
    if status == -signal.SIGKILL:
        return (
            f"the measuring process was killed while {phase} (SIGKILL), most often because memory ran out: "
            f"close other programs or measure a smaller model.{last_line}"
        )
    if status < 0:
        how = f"crashed while {phase} ({_signal_name(-status)})"
    else:
        how = f"ended without a result while {phase} (exit status {status})"
    return f"the measuring process {how}: check whether 'edgevid run' works on this bundle.{last_line}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
