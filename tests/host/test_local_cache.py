"""What a bundle's cache holds is believed if this user made it, and never if it came with the bundle."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edgevid.backends.onnxruntime.specialize import cache as ort_cache
from edgevid.backends.onnxruntime.specialize.cache import Cache
from edgevid.host import local_cache


@pytest.fixture
def another_user(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "another user"))
    return tmp_path / "another user"


def made(folder: Path) -> dict:
    (folder / "optimized.onnx").write_text("a model")
    return {"reason": "", "ops": []}


@pytest.fixture
def model(tmp_path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    return tmp_path / "model.onnx"


def entry_of(model: Path) -> Cache:
    return Cache(model.parent / "cache", [model], ("for this processor",))


def test_an_entry_is_found_again_by_who_made_it(model):
    entry, _ = entry_of(model).store(made)
    assert entry_of(model).load()[0] == entry


def test_an_entry_of_another_user_is_not_believed(model, monkeypatch, tmp_path):
    """As of a stranger who made the entry on a machine of the same kind, under the name that it has here."""
    entry, _ = entry_of(model).store(made)
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "another user"))
    assert entry_of(model).load() is None
    monkeypatch.setattr(ort_cache, "_name", lambda *_: entry.name)
    assert entry_of(model).load() is None


@pytest.mark.parametrize("what", ["model", "record", "another model's"])
def test_an_entry_that_was_exchanged_is_not_believed(model, what):
    entry, _ = entry_of(model).store(made)
    if what == "model":
        (entry / "optimized.onnx").write_text("another")
    elif what == "record":
        sealed = (entry / "record").read_bytes()
        signature, text = sealed[: local_cache.SIGNATURE_BYTES], sealed[local_cache.SIGNATURE_BYTES :]
        other = json.dumps({**json.loads(text), "reason": "other"})
        (entry / "record").write_bytes(signature + other.encode())
    else:
        model.write_bytes(b"another model")
        other, _ = entry_of(model).store(made)
        shutil.rmtree(other)
        shutil.move(entry, other)
    assert entry_of(model).load() is None


def test_a_named_pipe_for_a_record_is_not_waited_for(model):
    entry, _ = entry_of(model).store(made)
    (entry / "record").unlink()
    os.mkfifo(entry / "record")
    assert entry_of(model).load() is None


def test_a_cache_that_leads_elsewhere_is_not_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    assert local_cache.cache_of(tmp_path) != tmp_path / "cache"


def test_the_secret_is_readable_by_its_owner_alone(another_user):
    local_cache.sign(b"")
    assert (another_user / "secret").stat().st_mode & 0o077 == 0
    assert local_cache.secret_is_persistent()


def test_without_a_place_for_the_secret_a_process_believes_itself_alone(model, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "file" / "below"))
    entry, _ = entry_of(model).store(made)
    assert entry_of(model).load()[0] == entry
    assert not local_cache.secret_is_persistent()
    local_cache._secret.cache_clear()
    assert entry_of(model).load() is None
