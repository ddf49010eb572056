"""SHA-256, without OpenSSL where little is to be hashed.

Loading OpenSSL takes 3.5 MiB of a process, a twentieth of what a session of a small network takes. Python's
own code is slower, which matters for large files alone.
"""

from __future__ import annotations

import os
from typing import Any

try:
    from _sha2 import sha256 as _small  # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256 as _small  # 3.10 and 3.11
    except ImportError:
        _small = None

LARGE_BYTES = 32 << 20
CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 64


def sha256(data: bytes = b"", size: int = 0) -> Any:
    """A hash like ``hashlib.sha256``'s; ``size`` is how many bytes will come, if they are many."""
    if _small is not None and size < LARGE_BYTES:
        return _small(data)
    import hashlib

    return hashlib.sha256(data)


def keyed_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) for a key of at most a block, 64 bytes; Python's ``hmac`` loads OpenSSL."""
    block = key.ljust(BLOCK_BYTES, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + data, len(data)).digest()
    return sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def sha256_of(path: str | os.PathLike) -> str:
    """The hexadecimal digest of a file."""
    digest = sha256(size=os.path.getsize(path))
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
