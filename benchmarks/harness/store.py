"""The file that ``edgevid bench --json FILE`` writes, complete after each measurement."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.result import document
from edgevid.errors import BenchmarkError


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
            Path(self._write("")).unlink()
        except OSError as error:
            raise BenchmarkError(
                f"cannot write '{path}' ({error.strerror}): choose a file in a folder that you can write to"
            ) from error

    def save(self, results: list[dict[str, Any]]) -> None:
        """Replace the file by one with all ``results``."""
        written = self._write(to_json(results) + "\n")
        os.replace(written, self._file)

    def _write(self, text: str) -> str:
        """Write ``text`` beside the file; returns the path. Nothing is left behind on failure."""
        descriptor, written = tempfile.mkstemp(prefix=f".{self._file.name}.", dir=self._file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(written, 0o666 & ~_umask())  # mkstemp hides files from everybody else
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(written)
            raise
        return written


def to_json(results: list[dict[str, Any]]) -> str:
    """The document that the contract describes; a value that is no JSON number is our bug and raises."""
    return json.dumps(document(results), indent=1, allow_nan=False)


def _umask() -> int:
    """The umask can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
