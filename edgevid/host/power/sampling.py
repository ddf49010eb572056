"""Start the process that samples a sensor, and get what it read."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from typing import Any

from edgevid.host.affinity import spare
from edgevid.host.power.sensor import Samples, Sensor, SensorError

COMMAND = (sys.executable, "-m", "edgevid.host.power.sampler")
START_LIMIT_S = 20.0
STOP_LIMIT_S = 60.0
REMEDY = "check the sensor with 'edgevid doctor'"


class Sampling:
    """A sampler at work, from its first reading until ``finish``.

    Its standard input is its leash: it ends when this process does. Raises ``SensorError`` if it cannot
    read.
    """

    def __init__(self, sensor: Sensor) -> None:
        request = {"source": sensor.source, "interval_s": sensor.interval_s, "cpus": cores_for_sampler()}
        # PYTHONSAFEPATH (Python 3.11): a module in the current folder must not shadow one of ours.
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )
        self._write(json.dumps(request).encode() + b"\n")
        first = self._first_reply()
        if "error" in first:
            self.abandon()
            raise SensorError(f"{sensor.name}: {first['error']}", REMEDY)

    def mark(self) -> None:
        """Ask for a reading now."""
        self._write(b"\n")

    def finish(self) -> None:
        """Ask for the last reading."""
        if self._process.stdin is not None:
            self._process.stdin.close()
            self._process.stdin = None

    def samples(self) -> Samples:
        """Everything that was read; the process has ended then."""
        self.finish()
        try:
            output, _ = self._process.communicate(timeout=STOP_LIMIT_S)
            reply = json.loads(output)
        except (subprocess.TimeoutExpired, ValueError):
            raise SensorError("the process that reads the sensor gave no samples", REMEDY) from None
        finally:
            self.abandon()
        times_s = [time_ns / 1e9 for time_ns in reply.pop("times_ns")]
        return Samples(times_s, **reply)

    def abandon(self) -> None:
        """End the process without its samples."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # a pipe
        with contextlib.suppress(BrokenPipeError):  # it died, which stop() reports
            self._process.stdin.write(data)

    def _first_reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # a pipe
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(START_LIMIT_S):
                return {"error": f"no reading within {START_LIMIT_S:g} s"}
        try:
            return json.loads(self._process.stdout.readline())
        except ValueError:
            return {"error": "the process that reads the sensor ended at once"}


def cores_for_sampler() -> list[int]:
    """The cores on which a sampler disturbs least, best first; empty if there is only one, or no choice.

    First those that this process, which is measured, may not use, then the last of its own.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    own = os.sched_getaffinity(0)
    return spare(own, os.cpu_count() or 1) + (sorted(own)[-1:] if len(own) > 1 else [])
