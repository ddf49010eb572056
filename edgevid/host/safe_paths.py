"""Safe access to files of an untrusted folder: no name, link or device in it can lead outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path

FORBIDDEN = ("\\", ":", "\0")
"""On Windows a backslash separates names, and a colon ends a drive letter or precedes a stream name."""


def path_error(name: str) -> str | None:
    """The reason why ``name`` is not a safe relative path with slashes; None if it is one."""
    if not name.isprintable() or any(letter in name for letter in FORBIDDEN):
        return "has a backslash, a colon or a character that cannot be printed"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "is not the path of a file in the bundle's own folder"
    return None


def regular_file(folder: Path, name: str) -> Path:
    """The file ``name`` in ``folder``.

    Raises ``ValueError`` with the reason if the name leads outside, if it or a folder on its path is a link,
    or if it is not a regular file (reading a named pipe would block); ``FileNotFoundError`` if it does not
    exist.
    """
    if reason := path_error(name):
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
    """The content of ``name`` in ``folder``; ``ValueError`` if it is larger than ``limit`` bytes."""
    with open(regular_file(folder, name), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(
            f"is larger than {limit >> 20} MiB" if limit >> 20 else f"is longer than {limit} bytes"
        )
    return content
