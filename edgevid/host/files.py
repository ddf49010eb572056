"""Write files and folders atomically, even if the process is killed meanwhile."""

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
    """A path in a temporary folder next to ``path``; the file written there replaces ``path`` at the end.

    If the block raises, ``path`` is unchanged.
    """
    with _work_folder(path.parent) as work:
        temporary = Path(work) / path.name
        yield temporary
        os.replace(temporary, path)


def atomic_write(path: Path, data: bytes, private: bool = False) -> None:
    """Replace the file ``path`` by one that contains ``data``; ``private``: only its owner can read it."""
    mode = 0o600 if private else 0o666

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    with atomic_path(path) as temporary, open(temporary, "xb", opener=opener) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_folder(destination: Path, keep: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """A new folder that replaces ``destination`` when the block ends; if the block raises, nothing changes.

    A ``destination`` that exists by then is kept if ``keep()`` is true: another process was faster.
    """
    with _work_folder(destination.parent) as work:
        folder = Path(work) / "new"
        folder.mkdir()
        yield folder
        _replace(destination, folder, keep)


def _work_folder(parent: Path) -> tempfile.TemporaryDirectory[str]:
    """Its name contains the process id, so that a later process recognizes an abandoned one."""
    return tempfile.TemporaryDirectory(
        prefix=f"{TEMPORARY}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True
    )


def _replace(destination: Path, folder: Path, keep: Callable[[], bool]) -> None:
    # Not inside the temporary folder, which is deleted in any case: the old content must never be lost.
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
    """Remove the temporary folders of processes that were killed; those of a running process stay."""
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
