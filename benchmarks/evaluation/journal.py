"""The journal of an evaluation: each video's prediction, on disk before the next one counts.

A file of JSON lines, ``{"key": KEY, "video": ...}``. The key is of the bundle, the data set and the protocol,
so that one journal may serve several evaluations; a kill at any time loses the videos in flight and no other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from edgevid.benchmarks.evaluation.evaluate import Request
from edgevid.benchmarks.evaluation.records import Record
from edgevid.benchmarks.store import lines
from edgevid.errors import BenchmarkError
from edgevid.video.datasets import Dataset


class Journal:
    """The lines of ``path`` whose key is ``key``; the file is made when the first record is added."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key

    def records(self) -> dict[str, Record]:
        """By video. Raises ``BenchmarkError`` for a file that is no journal."""
        if not self._path.exists():
            return {}
        with open(self._path, "ab+") as file:
            lines.cut_unfinished(file)
        found: dict[str, Record] = {}
        for number, entry in lines.read(self._path):
            try:
                if entry["key"] == self._key:
                    record = Record.from_dict(entry)
                    found[record.video] = record
            except (KeyError, TypeError, ValueError):
                raise BenchmarkError(
                    f"line {number} of '{self._path}' is not one of a journal: "
                    "remove the file, or name other output"
                ) from None
        return found

    def add(self, record: Record) -> None:
        """It is on disk when this returns."""
        try:
            lines.append(self._path, {"key": self._key, **record.to_dict()})
        except OSError as error:
            raise BenchmarkError(
                f"the journal '{self._path}' cannot be written ({error.strerror}): free space, and run "
                "again with --resume"
            ) from error


def key_of(bundle_sha256: str, dataset: Dataset, request: Request) -> str:
    """Of what a prediction depends on, and no more: not on threads."""
    identity = [
        bundle_sha256, dataset.name, dataset.split, list(dataset.classes),
        request.protocol, request.online, request.early,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
