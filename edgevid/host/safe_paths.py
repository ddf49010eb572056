"""Files of a folder that strangers may have filled: no name, link or device in it leads anywhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FORBIDDEN = ("\\", ":", "\0")
"""A backslash separates names on Windows, a colon ends a drive's letter or precedes a stream's name."""


def why_unsafe(name: str) -> str | None:
    """Why ``name`` is not the path of a file in a folder, relative to it with slashes; None if it is."""
    if not name.isprintable() or any(letter in name for letter in FORBIDDEN):
        return "has a backslash, a colon or a character that cannot be printed"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "is not the path of a file in the bundle's own folder"
    return None


def regular_file(folder: Path, name: str) -> Path:
    """The file ``name`` in ``folder``.

    Raises ``ValueError`` with the reason if the name leads out of it, or if it or a folder on its way is a
    link or no regular file (a named pipe would be waited for), and ``FileNotFoundError`` if there is none.
    """
    if reason := why_unsafe(name):
        raise ValueError(reason)
    path = folder
    parts = name.split("/")
    for number, part in enumerate(parts, 1):
        path = path / part
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            raise ValueError("is a link (copy the bundle with 'cp -rL', which follows links)")
        if not (stat.S_ISREG(mode) if number == len(parts) else stat.S_ISDIR(mode)):
            raise ValueError("is not a regular file")
    return path


def read_bounded(folder: Path, name: str, limit: int) -> bytes:
    """The content of ``name`` in ``folder``, which ``ValueError`` refuses above ``limit`` bytes."""
    with open(regular_file(folder, name), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(
            f"is larger than {limit >> 20} MiB" if limit >> 20 else f"is longer than {limit} bytes"
        )
    return content
