"""Where this user's caches lie."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """``$EDGEVID_CACHE``, or ``edgevid`` in the user's cache folder."""
    if chosen := os.environ.get("EDGEVID_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevid"


@functools.cache
def temporary_folder() -> Path:
    """A folder for what cannot be kept, the same one at each call; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="edgevid-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
