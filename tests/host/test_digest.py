"""The digest of a file is SHA-256, however many chunks the file has."""

from __future__ import annotations

import hashlib

import pytest

from edgevid.host import digest


@pytest.mark.parametrize("size", [0, 10, digest.CHUNK_BYTES, 2 * digest.CHUNK_BYTES + 1])
def test_a_file_has_the_digest_that_everyone_computes(tmp_path, size):
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    assert digest.sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
