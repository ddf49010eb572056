"""The parent's side of the protocol: a subprocess that serves requests until it is closed."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from edgevid.errors import BenchmarkError
from edgevid.host import memory

WORKER = (sys.executable, "-m", "edgevid.benchmarks.experiments.peers.worker")
PREPARE = (sys.executable, "-m", "edgevid.benchmarks.experiments.peers.prepare")
EXECUTORCH_WORKER = Path(__file__).parent / "executorch_worker.py"
SILENCE_LIMIT_S = 900.0
"""Long enough for ``torch.compile`` of a ResNet-50 on a busy machine."""

TASKS = Path("/proc/self/task")
SETTLE_LIMIT_S, SETTLE_STEP_S, ASLEEP_IN_A_ROW = 0.5, 0.002, 3


class PeerError(BenchmarkError):
    """A candidate failed; the message is the error in its row of the table."""


class WorkerProcess:
    """A process in a session of its own, so that closing it also ends its children."""

    def __init__(self, command: Sequence[str], threads: int, limit_s: float = SILENCE_LIMIT_S) -> None:
        self._limit_s, self._pending = limit_s, b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (``close`` closes it)
        environment = {
            **os.environ,
            "PYTHONSAFEPATH": "1",  # a module in the current folder must not shadow numpy
            "OMP_NUM_THREADS": str(threads),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compilers that stays alive during timing
        }
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise PeerError(f"'{command[0]}' does not start ({error.strerror or error})") from error

    def call(self, action: str, **request: Any) -> dict[str, Any]:
        """The response to one request; ``PeerError`` if it is an error, the worker died, or time ran out."""
        with contextlib.suppress(BrokenPipeError):  # it has died, and reading reports how
            self._process.stdin.write(json.dumps({"action": action, **request}).encode() + b"\n")
            self._process.stdin.flush()
        response = json.loads(self._line())
        if "error" in response:
            raise PeerError(response["error"])
        return response

    def resident_mib(self) -> float | None:
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self._process.pid).memory_info().rss / memory.MIB
        return None

    def peak_mib(self) -> float | None:
        """The peak resident memory; None where the system does not report it for another process."""
        status = Path(f"/proc/{self._process.pid}/status")
        return memory.peak_mib(status) if status.is_file() else None

    def settle(self) -> None:
        """Wait until its threads are asleep: ONNX Runtime's spin for some 50 ms after their last work."""
        if not TASKS.is_dir():  # another system than Linux
            time.sleep(SETTLE_LIMIT_S)
            return
        end, asleep = time.monotonic() + SETTLE_LIMIT_S, 0
        while asleep < ASLEEP_IN_A_ROW and time.monotonic() < end:
            time.sleep(SETTLE_STEP_S)
            asleep = asleep + 1 if self._is_asleep() else 0

    def _is_asleep(self) -> bool:
        for status in Path(f"/proc/{self._process.pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                # The state follows the name, which is in parentheses and may contain some itself: proc(5).
                if status.read_text().rpartition(")")[2].split()[0] == "R":
                    return False
        return True

    def close(self) -> None:
        with contextlib.suppress(OSError):  # they may all have ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(OSError):  # unflushed data has no reader
                stream.close()

    def _line(self) -> bytes:
        end = time.monotonic() + self._limit_s
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise PeerError(f"no response within {self._limit_s:g} s")
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise PeerError(self._exit_reason())
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _exit_reason(self) -> str:
        status = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"its process {how}" + (f"; its last line on stderr: {lines[-1].strip()}" if lines else "")
