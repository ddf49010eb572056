"""Files of JSON lines that a kill at any time leaves readable: one object a line, appended and synced."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgevid.errors import BenchmarkError

BLOCK = 1 << 16


def to_line(record: dict[str, Any]) -> bytes:
    """One line of JSON; ``ValueError`` for NaN and infinity, which JSON does not have."""
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line, which is on disk when this returns. Several processes may append to one file."""
    line = to_line(record)
    with open(path, "ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        append_to(file, line)


def append_to(file: IO[bytes], line: bytes) -> None:
    """``append`` to a file that is open in the mode ``ab+`` and locked."""
    cut_unfinished(file)
    size = file.seek(0, os.SEEK_END)
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError:  # a full disk: no half line stays
        os.ftruncate(file.fileno(), size)
        raise


def cut_unfinished(file: IO[bytes]) -> None:
    """Remove a last line without its end, which a kill in mid-write left."""
    size = end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's number, from 1, and its object; ``BenchmarkError`` names a line that is none."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise BenchmarkError(
                    f"line {number} of '{path}' is cut short or not an object of JSON: delete or repair it"
                )
            yield number, record
