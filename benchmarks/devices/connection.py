"""A connection to the program on a board: questions and answers, and the signs of life both ways."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from edgevid.benchmarks.devices.link import Link
from edgevid.benchmarks.devices.program import NO_PYTHON, command, program
from edgevid.errors import BenchmarkError

Event = dict[str, Any]
ALIVE_S = 5.0
SILENCE_S = 60.0
"""The board answers each sign of life; after this long without a word it is lost."""
CLOSING_S = 10.0
CHUNK = 1 << 20
LINE_LIMIT = 1 << 30


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Connection:
    """The program on the board behind ``link``. ``ask`` sends a command and returns its answer.

    Raises ``BenchmarkError``, one line with what to do, if there is no connection, no Python, or if the
    connection is lost.
    """

    def __init__(self, link: Link, python: str | None, silence_s: float = SILENCE_S) -> None:
        self._link, self._python, self._silence_s = link, python, silence_s
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._greeted = False
        self._process = link.open(command(python), self._errors)
        assert self._process.stdin and self._process.stdout  # both are pipes
        self._input, self._output = self._process.stdin, self._process.stdout
        for work in (self._read, self._stay_alive):
            threading.Thread(target=work, daemon=True).start()
        self._write(program())

    def ask(
        self,
        question: Event,
        tell: Callable[[Event], None] = lambda event: None,
        data: Readable | None = None,
    ) -> Event:
        """The answer to ``question`` and its ``data``; ``tell`` gets the events before it."""
        self._send(question, data)
        for event in self._arriving():
            if event["event"] in ("progress", "waiting"):
                tell(event)
            elif event["event"] == "error" and "id" not in event:  # not the end of a measurement
                raise BenchmarkError(f"{self._link.address}: {event['message']}")
            else:
                return event
        raise BenchmarkError(self._why_it_ended())

    def close(self) -> None:
        """Let go of the board: its program ends when its input does."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._input.close()
        self._end()
        self._output.close()
        self._errors.close()

    def _end(self) -> int:
        """The exit status of ssh or adb, which has little time left."""
        try:
            return self._process.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _arriving(self) -> Iterator[Event]:
        last = time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=self._silence_s)
            except queue.Empty:
                self._process.kill()
                raise BenchmarkError(
                    f"{self._link.address} has said nothing for {time.monotonic() - last:.0f} s: check that "
                    "it is on and in this network"
                ) from None
            if event is None:
                return
            last = time.monotonic()
            if event["event"] != "alive":
                yield event

    def _read(self) -> None:
        """Lines of the program; what a login script prints before them, and a line cut short, is no JSON."""
        with contextlib.suppress(OSError, ValueError):  # closed
            while line := self._output.readline(LINE_LIMIT):
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and isinstance(event.get("event"), str):
                        self._greeted = True
                        self._events.put(event)
        self._events.put(None)

    def _stay_alive(self) -> None:
        while not self._closed.wait(ALIVE_S):
            if self._greeted:
                self._send({"do": "alive"})

    def _send(self, question: Event, data: Readable | None = None) -> None:
        with self._sending:  # no sign of life within the data, which is one itself
            self._write(json.dumps(question).encode() + b"\n")
            while data and (chunk := data.read(CHUNK)) and self._write(chunk):
                pass

    def _write(self, data: bytes) -> bool:
        """Whether it could be written: a broken pipe shows as the end of the answers, which has a reason."""
        try:
            self._input.write(data)
            self._input.flush()
        except (OSError, ValueError):
            return False
        return True

    def _why_it_ended(self) -> str:
        status = self._end()
        self._errors.seek(0)
        errors = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines()]
        errors = [line for line in errors if line]
        address = self._link.address
        if self._greeted:
            return (
                f"the connection to {address} was lost: what had finished there waits, "
                f"'edgevid bench --device {address} --collect' fetches it"
            )
        if status == NO_PYTHON:
            name = f"no Python '{self._python}'" if self._python else "no Python 3"
            return f"{address} has {name}: install python3 there, or set EDGEVID_DEVICE_PYTHON to its path"
        if status == 255 or not errors or "python" not in errors[-1].lower():
            return f"{address}: {self._link.explain(status, errors)}"
        return f"{address}: the Python there does not start ({errors[-1]}): set EDGEVID_DEVICE_PYTHON"
