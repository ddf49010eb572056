"""The file that ``edgevid bench --json FILE`` writes, complete after each measurement."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.result import document
from edgevid.errors import BenchmarkError
from edgevid.host.files import atomic_write


class ResultFile:
    """A file of results that is either the old one or the new one, never half of one.

    ``BenchmarkError`` at once if nothing can be written there, before any time is spent on measuring.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # The file behind a link is replaced, not the link.
        self._file = path.resolve()
        if self._file.exists() and not self._file.is_file():
            raise BenchmarkError(
                f"'{path}' is not a file that can be replaced: use --json - for standard output"
            )
        if self._file.exists() and not os.access(self._file, os.W_OK):
            raise BenchmarkError(f"'{path}' is write-protected: choose another file for --json")
        try:
            tempfile.TemporaryFile(dir=self._file.parent).close()
        except OSError as error:
            raise BenchmarkError(
                f"cannot write '{path}' ({error.strerror}): choose a file in a folder that you can write to"
            ) from error

    def save(self, results: list[dict[str, Any]]) -> None:
        """Replace the file by one with all ``results``."""
        atomic_write(self._file, (to_json(results) + "\n").encode())


def to_json(results: list[dict[str, Any]]) -> str:
    """The document that the contract describes; a value that is no JSON number is our bug and raises."""
    return json.dumps(document(results), indent=1, allow_nan=False)
