"""Where the files of sensors are: the root of this machine, or of a simulated tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edgevid.host import commands


class Files(Protocol):
    """Reads files by their path below a root (``sys/class/...``), of this machine or of a device."""

    simulated: bool

    def read(self, path: str) -> str:
        """The stripped text; ``OSError`` if it cannot be read."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """The matching paths, sorted."""
        ...

    def source(self, paths: Sequence[str], pattern: str = "") -> dict[str, Any]:
        """The ``sampler``'s description of how to read these files again and again."""
        ...

    def run(self, command: Sequence[str]) -> commands.CommandResult:
        """Run a command there."""
        ...


class LocalFiles:
    """This machine's files, or those below another ``root``, which are simulated ones."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root, self.simulated = root, root != Path("/")

    def read(self, path: str) -> str:
        return (self.root / path).read_bytes().decode(errors="replace").strip(" \n\0")

    def glob(self, pattern: str) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))

    def source(self, paths: Sequence[str], pattern: str = "") -> dict[str, Any]:
        return {"files": [str(self.root / path) for path in paths], "pattern": pattern}

    def run(self, command: Sequence[str]) -> commands.CommandResult:
        return commands.run(command)


def read_or_none(files: Files, path: str) -> str | None:
    """The text of a file that need not exist; other errors are raised."""
    try:
        return files.read(path)
    except FileNotFoundError:
        return None
