"""TVM's libraries for arm64 devices run on arm64, and agree with PyTorch.

That for phones wants bionic, of which there is only the name here: glibc stands behind it.
"""

from __future__ import annotations

import importlib.util
import platform

import numpy as np
import pytest

import edgevid
from edgevid import parity
from edgevid.errors import BackendError

pytestmark = [
    pytest.mark.skipif(
        platform.machine() != "aarch64", reason="this computer is not arm64: make test-arm64-tvm makes one"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("tvm") is None, reason="TVM is not installed: pip install 'edgevid[tvm]'"
    ),
]

TOLERANCE = 1e-4


def test_a_library_for_a_phone_runs_with_what_stands_for_its_libc(export, bionic, tmp_path):
    from edgevid.backends.tvm.backend import MODEL
    from edgevid.backends.tvm.description import read_description
    from edgevid.backends.tvm.runner import TvmRunner

    bundle = export("tsm_mbv2", tmp_path / "clip", target="mobile", backend="tvm", frames=2)
    library = bundle.path / MODEL
    description = read_description(library)
    runner = TvmRunner(library, description.inputs, description.outputs, threads=2)
    clip, expected = parity.load(bundle.path)
    assert parity.compare(runner.run({"clip": clip}), expected, TOLERANCE).ok
    with pytest.raises(BackendError, match="aarch64-android"):
        edgevid.open(bundle.path)


def test_a_library_for_a_board_runs_there(export, tmp_path):
    bundle = export("tsm_mbv2", tmp_path / "clip", target="raspberry-pi-5", backend="tvm", frames=2)
    session = edgevid.open(bundle.path)
    assert session.backend == "tvm"
    clip, expected = parity.load(bundle.path)
    assert parity.compare(session.run(clip), expected, TOLERANCE).ok
    assert not parity.compare(session.run(2 * clip), expected, TOLERANCE).ok


def test_a_streamed_library_keeps_its_states_there(export, tmp_path):
    options = {"target": "jetson", "backend": "tvm", "stream": True}
    bundle = export("tsm_mbv2_online", tmp_path / "stream", **options)
    stream = edgevid.open(bundle.path).stream()
    clip, expected = parity.load(bundle.path)
    outputs = np.concatenate([stream.push(frame[None])["logits"] for frame in clip[0]])
    assert parity.compare({"logits": outputs}, expected, TOLERANCE).ok
    stream.reset()
    np.testing.assert_array_equal(stream.push(clip[0][:1])["logits"], outputs[:1])
