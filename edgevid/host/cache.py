"""The folders of this user's caches."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """``$EDGEVID_CACHE``, or ``edgevid`` in the user's cache folder."""
    if folder := os.environ.get("EDGEVID_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevid"


@functools.cache
def temporary_folder() -> Path:
    """A folder that is deleted when the process ends; every call returns the same one."""
    folder = tempfile.mkdtemp(prefix="edgevid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
