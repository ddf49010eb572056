"""The journal of a matrix: each finished or failed measurement, on disk before the next one starts.

A file of JSON lines: ``{"cell": KEY, "title": "...", "result": {...}}``, or ``"failure": "reason"`` instead
of the result. A kill at any time loses the running measurement and no other.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edgevid.benchmarks.matrix.plan import Cell
from edgevid.benchmarks.store import lines
from edgevid.errors import BenchmarkError

LOCK_S = 3.0
"""How long to wait for the lock: a process that a killed run was just starting has it for a moment more."""
START = b'{"cell": '
"""How every line starts."""


class Journal:
    """The journal at ``path``, for one process at a time.

    ``finished`` are the keys of cells, ``failures`` reasons by key, ``measurement_ids`` those of the results.

    Raises ``BenchmarkError`` if another run has it open, and for a file that is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished: set[str] = set()
        self.failures: dict[str, str] = {}
        self.measurement_ids: list[str] = []
        try:
            self._file = open(path, "ab+")  # noqa: SIM115  # open as long as the journal, for its lock
        except OSError as error:
            raise BenchmarkError(
                f"the journal '{path}' cannot be written ({error.strerror}): choose another with --journal"
            ) from error
        try:
            self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def finish(self, cell: Cell, result: dict[str, Any]) -> None:
        """Record a result; it is on disk when this returns."""
        self._append({"cell": cell.key, "title": cell.title, "result": result})

    def fail(self, cell: Cell, reason: str) -> None:
        self._append({"cell": cell.key, "title": cell.title, "failure": reason})

    def results(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each finished cell's key and result, in the order in which they finished."""
        for _, entry in lines.read(self.path):
            if "failure" not in entry:
                yield entry["cell"], entry["result"]

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            lines.append_to(self._file, lines.to_line(entry))
        except OSError as error:
            raise BenchmarkError(
                f"the journal '{self.path}' cannot be written ({error.strerror}): free space, and run again"
            ) from error
        self._note(entry)

    def _lock(self) -> None:
        limit = time.monotonic() + LOCK_S
        while not _locked(self._file):
            if time.monotonic() > limit:
                raise BenchmarkError(
                    f"another run is using the journal '{self.path}': wait, or choose another with --journal"
                )
            time.sleep(0.02)

    def _read(self) -> None:
        self._lock()
        # Before anything is removed from the file: it could be another one, named by mistake.
        self._file.seek(0)
        start = self._file.read(len(START))
        if start != START[: len(start)]:
            raise self._not_a_journal(1)
        lines.cut_unfinished(self._file)
        for number, entry in lines.read(self.path):
            if not _is_entry(entry):
                raise self._not_a_journal(number)
            self._note(entry)

    def _not_a_journal(self, number: int) -> BenchmarkError:
        return BenchmarkError(
            f"line {number} of '{self.path}' is not one of a journal: choose another file with --journal"
        )

    def _note(self, entry: dict[str, Any]) -> None:
        key = entry["cell"]
        if "failure" not in entry:
            self.finished.add(key)
            self.measurement_ids.append(entry["result"]["measurement_id"])
            self.failures.pop(key, None)
        else:
            self.failures[key] = entry["failure"]


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_entry(entry: dict[str, Any]) -> bool:
    result = entry.get("result")
    finished = isinstance(result, dict) and isinstance(result.get("measurement_id"), str)
    return isinstance(entry.get("cell"), str) and (finished or isinstance(entry.get("failure"), str))
