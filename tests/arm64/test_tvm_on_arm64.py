"""TVM's libraries for arm64 devices run on arm64, and agree with PyTorch.

That for phones wants bionic, of which there is only the name here: glibc stands behind it.
"""

from __future__ import annotations

import platform

import numpy as np
import pytest

import edgevid
from edgevid import parity

pytestmark = pytest.mark.skipif(
    platform.machine() != "aarch64", reason="this computer is not arm64: make test-arm64-tvm makes one"
)
pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")

TOLERANCE = 1e-4


@pytest.mark.parametrize("target", ["raspberry-pi-5", "mobile"])
def test_a_library_for_a_device_runs_there(export, bionic, tmp_path, target):
    bundle = export("tsm_mbv2", tmp_path / "clip", target=target, backend="tvm", frames=2)
    session = edgevid.open(bundle.path)
    assert session.backend == "tvm"
    clip, wanted = parity.load(bundle.path)
    assert parity.compare(session.run(clip), wanted, TOLERANCE).ok
    assert not parity.compare(session.run(2 * clip), wanted, TOLERANCE).ok


def test_a_streamed_library_keeps_its_states_there(export, tmp_path):
    options = {"target": "jetson", "backend": "tvm", "stream": True}
    bundle = export("tsm_mbv2_online", tmp_path / "stream", **options)
    stream = edgevid.open(bundle.path).stream()
    clip, wanted = parity.load(bundle.path)
    got = np.concatenate([stream.push(frame[None])["logits"] for frame in clip[0]])
    assert parity.compare({"logits": got}, wanted, TOLERANCE).ok
    stream.reset()
    np.testing.assert_array_equal(stream.push(clip[0][:1])["logits"], got[:1])
