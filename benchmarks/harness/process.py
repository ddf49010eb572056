"""A worker process as its parent sees it: send it a request, read its events, end it."""

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
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any

from edgevid.benchmarks.harness.protocol import Progress, Request, error_from
from edgevid.errors import BenchmarkError

WORKER = (sys.executable, "-m", "edgevid.benchmarks.harness.worker")
SILENCE_LIMIT_S = 300.0


class WorkerProcess:
    """As a context, a running worker with ``request``; it has always ended when the context ends.

    ``command`` is a process that implements ``protocol``, by default edgevid's worker. Raises
    ``BenchmarkError`` if it does not start.
    """

    def __init__(
        self,
        request: Request,
        command: Sequence[str] | None = None,
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self._request, self._command = request, command or WORKER
        self._silence_limit_s = silence_limit_s
        self._last = Progress("starting")

    def __enter__(self) -> WorkerProcess:
        # PYTHONSAFEPATH (Python 3.11): a module in the current folder must not shadow numpy.
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
            )
        except OSError as error:
            self._stderr.close()
            raise BenchmarkError(
                f"the measuring process does not start ({error}): reinstall edgevid"
            ) from error
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.send(asdict(self._request))
        if not self._request.in_turns:
            self.finish()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self.finish()
        assert self._process.stdout  # a pipe
        self._process.stdout.close()
        self._stderr.close()

    def send(self, value: Any) -> None:
        """Write ``value`` as a line of JSON. If the worker is dead, the reader of its events reports it."""
        assert self._process.stdin  # a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def finish(self) -> None:
        """Close the worker's standard input: there is nothing more to send."""
        assert self._process.stdin  # a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def events(self) -> Iterator[dict[str, Any]]:
        """What the worker sends, until its result.

        Raises ``BenchmarkError`` if it sends nothing for ``silence_limit_s`` seconds or ends without a
        result, and the worker's own ``EdgevidError`` if it reports one.
        """
        while (line := self._next_line()) is not None:
            try:
                event = json.loads(line)
            except ValueError:  # cut short by the worker's death
                continue
            if event["event"] == "error":
                raise error_from(event)
            if event["event"] == "progress":
                self._last = progress_of(event)
            yield event
            if event["event"] == "result":
                return
        raise BenchmarkError(_exit_reason(self._process.wait(), self._last.phase, self._stderr))

    def _next_line(self) -> bytes | None:
        try:
            return self._lines.get(timeout=self._silence_limit_s)
        except queue.Empty:
            raise BenchmarkError(
                f"the measuring process did not respond for {self._silence_limit_s:g} s while "
                f"{self._last.phase}, so it was ended: try fewer --threads, or 'edgevid run' to see whether "
                "the bundle runs at all"
            ) from None

    def _read(self) -> None:  # in a thread, because a blocking read has no timeout
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put(None)


def progress_of(event: dict[str, Any]) -> Progress:
    return Progress(**{key: value for key, value in event.items() if key != "event"})


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
