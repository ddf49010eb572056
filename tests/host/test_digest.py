"""Hashes are SHA-256 whatever computes them, and opening a small bundle loads no OpenSSL for them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from edgevid.host import digest


@pytest.mark.parametrize("large", [digest.LARGE_BYTES, 10])
def test_a_file_has_the_digest_that_everyone_computes(tmp_path, monkeypatch, large):
    monkeypatch.setattr(digest, "LARGE_BYTES", large)
    content = bytes(range(256)) * (digest.CHUNK_BYTES // 100)
    (tmp_path / "file").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert digest.sha256_of(tmp_path / "file") == digest.sha256(content).hexdigest() == expected


def test_a_python_without_code_of_its_own_takes_hashlibs(monkeypatch):
    monkeypatch.setattr(digest, "_small", None)
    assert digest.sha256(b"frames").hexdigest() == hashlib.sha256(b"frames").hexdigest()


def test_opening_a_small_bundle_loads_no_openssl(clip_bundle):
    if digest._small is None:
        pytest.skip("this Python has only OpenSSL's SHA-256")
    program = (
        f"import edgevid, sys; edgevid.open({str(clip_bundle.path)!r}); print('_hashlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
