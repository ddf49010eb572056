"""The reference evaluator runs networks of every kind, each at its smallest size."""

from __future__ import annotations

import pytest
from short_network import short_network

import edgevid
from edgevid.zoo import MODELS

NETWORKS = ("shufflenet_v1", "channelnet_v3", "action_mbv2", "r2plus1d_r34")
"""Images with shuffled channels, convolutions over channels, excitations, and 3D convolutions."""


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_pytorch_does(name, tmp_path):
    frames, size = MODELS[name].smallest
    network = short_network(name, frames, size, num_classes=5)
    bundle = edgevid.export(network, output=tmp_path / "b", backend="reference", size=size)
    assert bundle.manifest.parity.ok
    assert edgevid.open(bundle.path).backend == "reference"


def test_an_invalid_model_file_is_refused_with_a_remedy(tmp_path):
    from edgevid.backends import BACKENDS
    from edgevid.backends.reference.backend import MODEL
    from edgevid.errors import BackendError

    (tmp_path / MODEL.file).write_bytes(b"not a model")
    with pytest.raises(BackendError, match=r"ONNX cannot open .* Export again"):
        BACKENDS["reference"].open_model(MODEL, tmp_path)
