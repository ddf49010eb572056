"""SHA-256 of files."""

from __future__ import annotations

import hashlib
import os

CHUNK_BYTES = 1 << 20


def sha256_of(path: str | os.PathLike) -> str:
    """The hexadecimal digest of a file, read in chunks: ``hashlib.file_digest`` needs Python 3.11."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
