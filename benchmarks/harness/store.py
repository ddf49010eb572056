"""The files that ``edgevid bench --json FILE --html FILE`` writes, complete after each measurement."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.result import document
from edgevid.errors import BenchmarkError
from edgevid.host.files import atomic_write

Render = Callable[[Any], str]


class ResultFile:
    """A file that is replaced atomically; ``render`` makes its text, by default from a list of results.

    Raises ``BenchmarkError`` at once if it cannot be written, before any time is spent on measuring.
    """

    def __init__(self, path: Path, option: str = "--json", render: Render | None = None) -> None:
        self.path, self.option = path, option
        self._render = render or (lambda results: to_json(results) + "\n")
        # Replace the target of a link, not the link.
        self._file = path.resolve()
        if self._file.exists() and not self._file.is_file():
            other = f"use {option} - for standard output" if option == "--json" else "choose another file"
            raise BenchmarkError(f"'{path}' is not a file that can be replaced: {other}")
        if self._file.exists() and not os.access(self._file, os.W_OK):
            raise BenchmarkError(f"'{path}' is write-protected: choose another file for {option}")
        try:
            tempfile.TemporaryFile(dir=self._file.parent).close()
        except OSError as error:
            raise BenchmarkError(
                f"cannot write '{path}' ({error.strerror}): choose a file in a folder that you can write to"
            ) from error

    def save(self, results: Any) -> None:
        """Replace the file's content with ``results``, as ``render`` makes them."""
        atomic_write(self._file, self._render(results).encode())


def to_json(results: list[dict[str, Any]]) -> str:
    """The document as JSON; raises ``ValueError`` on NaN and infinity, which JSON does not have."""
    return json.dumps(document(results), indent=1, allow_nan=False)
