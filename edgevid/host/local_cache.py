"""What is made of a bundle on this machine is kept in the bundle, and believed only if this user made it.

A bundle may come with a cache that a stranger filled, and an engine or a model in it would run whatever they
like. So entries are named and signed with a secret in the user's own cache folder.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from pathlib import Path

from edgevid.host.cache import cache_folder
from edgevid.host.files import atomic_write
from edgevid.specs import CACHE

SECRET, SECRET_BYTES = "secret", 32
SIGNATURE_BYTES = 32


def cache_of(folder: Path) -> Path:
    """Where to keep what is made of the bundle in ``folder``: there, or where that cannot be, the user's."""
    own = folder / CACHE
    return own if os.access(folder, os.W_OK) and not own.is_symlink() else cache_folder() / "models"


def sign(data: bytes) -> bytes:
    """The signature of ``data``, which nobody can make without reading this user's files."""
    return hmac.digest(_secret(cache_folder() / SECRET), data, "sha256")


def entry_name(stem: str, identity: tuple) -> str:
    """The name of an entry for all that ``identity`` holds; a stranger cannot foresee it and lie in wait."""
    return f"{stem}-{sign(repr(identity).encode()).hex()[:16]}"


def seal(name: str, content: bytes) -> bytes:
    """``content`` of the entry ``name``, after a signature of both."""
    return _signature(name, content) + content


def unseal(name: str, sealed: bytes) -> bytes | None:
    """What ``seal`` was given for ``name``; None if this user did not make it."""
    signature, content = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
    return content if hmac.compare_digest(_signature(name, content), signature) else None


def _signature(name: str, content: bytes) -> bytes:
    return sign(name.encode() + hashlib.sha256(content).digest())


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
        atomic_write(path, made, private=True)
    except OSError:
        return made  # what this process makes is then believed by itself alone
    return _read(path) or made  # another process may have been later


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if len(content) == SECRET_BYTES else None
