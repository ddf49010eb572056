"""Files and folders that appear whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

TEMPORARY = ".edgevid-"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path in a temporary folder beside ``path``; the file written there replaces ``path`` at the end.

    If the block raises, ``path`` stays as it was.
    """
    with _work_folder(path.parent) as work:
        written = Path(work) / path.name
        yield written
        os.replace(written, path)


def atomic_write(path: Path, data: bytes, private: bool = False) -> None:
    """Replace ``path`` by a file that holds ``data``; ``private``: only its owner can read it."""
    mode = 0o600 if private else 0o666

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    with atomic_path(path) as written, open(written, "xb", opener=opener) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_folder(destination: Path, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A new folder that replaces ``destination`` when the block ends; if it raises, nothing changes.

    A ``destination`` that exists by then stays if ``keep()``: another process was faster.
    """
    with _work_folder(destination.parent) as work:
        folder = Path(work) / "new"
        folder.mkdir()
        yield folder
        _replace(destination, folder, keep)


def _work_folder(parent: Path) -> tempfile.TemporaryDirectory[str]:
    """Its name holds the process's id, so that a later process knows what was abandoned."""
    return tempfile.TemporaryDirectory(
        prefix=f"{TEMPORARY}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True
    )


def _replace(destination: Path, folder: Path, keep: Callable[[], bool]) -> None:
    # Not inside the temporary folder, which goes in any case: what was there must never be lost.
    old = folder.parent.with_name(f"{folder.parent.name}-old")
    try:
        if destination.exists():
            if keep():
                return
            os.rename(destination, old)
        os.rename(folder, destination)
    except BaseException as error:
        if old.exists():
            os.rename(old, destination)
        if not (isinstance(error, OSError) and keep()):
            raise
    shutil.rmtree(old, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Temporary folders of processes that were killed outright; those of a running process stay."""
    for path in parent.glob(f"{TEMPORARY}*-*"):
        pid = path.name.removeprefix(TEMPORARY).split("-")[0]
        if pid.isdigit() and not _is_running(int(pid)) and not path.name.endswith("-old"):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
