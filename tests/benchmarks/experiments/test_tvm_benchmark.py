"""TVM is compared with an ordinary export that computes the same."""

from __future__ import annotations

import onnx
import pytest
import torch

from edgevid.benchmarks.experiments import study, tvm
from edgevid.zoo import MODELS
from edgevid.zoo.layers.shift import TemporalShift


def test_every_network_with_a_bound_is_in_the_zoo():
    assert set(tvm.BOUNDS) <= set(MODELS)


class Shifted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shift, self.conv = TemporalShift("bidirectional"), torch.nn.Conv2d(8, 4, 1)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.conv(self.shift(clip.flatten(0, 1), clip.shape[1])).mean((2, 3))


@pytest.mark.slow
def test_the_ordinary_export_has_only_standard_operators_and_the_same_output(tmp_path):
    network, clip = Shifted().eval(), torch.randn(1, 3, 8, 4, 4)
    with torch.no_grad():
        expected = network(clip).numpy()
    tvm._write_ordinary(network, clip, tmp_path / "ordinary.onnx")
    assert {node.domain for node in onnx.load(tmp_path / "ordinary.onnx").graph.node} == {""}
    session = tvm.open_session(tmp_path / "ordinary.onnx", 1)
    result = session.run(None, {session.get_inputs()[0].name: clip.numpy()})
    study.require_equal("net", result, tvm.ORDINARY, [expected], tvm.TOLERANCE)
