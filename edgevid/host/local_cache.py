"""What is made of a bundle on this machine is kept in the bundle, and believed only if this user made it.

A bundle may come with a cache that a stranger filled, and an engine or a model in it would run whatever they
like. So entries are named and signed with a secret in the user's own cache folder.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from edgevid.host.digest import keyed_sha256
from edgevid.specs import CACHE

SECRET, SECRET_BYTES = "secret", 32
SIGNATURE_BYTES = 32


def cache_folder() -> Path:
    """``$EDGEVID_CACHE``, or ``edgevid`` in the user's cache folder."""
    if chosen := os.environ.get("EDGEVID_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgevid"


def cache_of(folder: Path) -> Path:
    """Where to keep what is made of the bundle in ``folder``: there, or where that cannot be, the user's."""
    own = folder / CACHE
    return own if os.access(folder, os.W_OK) and not own.is_symlink() else cache_folder() / "models"


def sign(data: bytes) -> bytes:
    """The signature of ``data``, which nobody can make without reading this user's files."""
    return keyed_sha256(_secret(cache_folder() / SECRET), data)


def is_signed(data: bytes, signature: bytes) -> bool:
    return sign(data) == signature


def secret_is_kept() -> bool:
    """Whether another process of this user signs in the same way; not where nothing can be written."""
    return _read(cache_folder() / SECRET) == _secret(cache_folder() / SECRET)


@functools.cache
def _secret(path: Path) -> bytes:
    if (known := _read(path)) is not None:
        return known
    made = os.urandom(SECRET_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp's files are readable by their owner alone.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".secret-", delete=False) as file:
            file.write(made)
        os.replace(file.name, path)
    except OSError:
        return made  # what this process makes is then believed by itself alone
    return _read(path) or made  # another process may have been later


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if len(content) == SECRET_BYTES else None
