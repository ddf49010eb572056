"""A cache inside a bundle, of which only entries that this user wrote are trusted.

A bundle may come with a cache that a stranger filled, and an engine or a model in it could run any code. So
entries are named and signed with a secret in the user's own cache folder.
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
    """The cache of the bundle in ``folder``: inside it if it is writable, else in the user's cache folder."""
    cache = folder / CACHE
    return cache if os.access(folder, os.W_OK) and not cache.is_symlink() else cache_folder() / "models"


def sign(data: bytes) -> bytes:
    """The signature of ``data``, which requires read access to this user's files."""
    return hmac.digest(_secret(cache_folder() / SECRET), data, "sha256")


def entry_name(stem: str, identity: tuple) -> str:
    """The name of the entry for ``identity``; a stranger cannot predict it and plant a file."""
    return f"{stem}-{sign(repr(identity).encode()).hex()[:16]}"


def seal(name: str, content: bytes) -> bytes:
    """``content`` prefixed with a signature of it and the entry's ``name``."""
    return _signature(name, content) + content


def unseal(name: str, sealed: bytes) -> bytes | None:
    """The content that ``seal`` signed for ``name``; None if the signature is not this user's."""
    signature, content = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
    return content if hmac.compare_digest(_signature(name, content), signature) else None


def _signature(name: str, content: bytes) -> bytes:
    return sign(name.encode() + hashlib.sha256(content).digest())


def secret_is_persistent() -> bool:
    """Whether other processes of this user share the secret; False if it could not be written."""
    return _read(cache_folder() / SECRET) == _secret(cache_folder() / SECRET)


@functools.cache
def _secret(path: Path) -> bytes:
    if (stored := _read(path)) is not None:
        return stored
    secret = os.urandom(SECRET_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, secret, private=True)
    except OSError:
        return secret  # then only this process trusts the entries that it writes
    return _read(path) or secret  # another process may have replaced it since


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if len(content) == SECRET_BYTES else None
