"""Batch norms and constants are folded, no-ops removed, and what cannot be folded says why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgevid.errors import ExportError
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.drop_zero_bias import drop_zero_bias
from edgevid.passes.fold_batch_norm import fold_batch_norm
from edgevid.passes.fold_constants import fold_constants
from edgevid.passes.verify import verify

pytestmark = pytest.mark.slow


class Small(nn.Module):
    """A convolution with a batch norm, and a batch norm whose input is read twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.again, self.late = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        for norm in (self.norm, self.late):
            nn.init.uniform_(norm.running_mean), nn.init.uniform_(norm.running_var, 0.5, 1.5)

    def forward(self, clip):
        x = torch.relu(self.norm(self.conv(clip.flatten(0, 1))))
        y = self.again(x)
        return (self.late(y) + y).mean((2, 3)).unflatten(0, (1, -1)).mean(1)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def graph(small):
    return trace(small, torch.zeros(1, 2, 3, 8, 8))


def run(graph: ir.Model, clip: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    return session.run(None, {"clip": clip})[0]


def op_types(graph: ir.Model) -> list[str]:
    return [node.op_type for node in graph.graph]


def test_passes_preserve_the_outputs(graph, small):
    clip = np.random.default_rng(0).standard_normal((1, 2, 3, 8, 8), dtype=np.float32)
    run_passes(graph, STANDARD)
    with torch.no_grad():
        expected = small(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(run(graph, clip), expected, rtol=1e-5, atol=1e-6)


def test_a_batch_norm_is_folded_or_reported(graph):
    assert op_types(graph).count("BatchNormalization") == 2
    reports = {report.name: report for report in run_passes(graph, STANDARD)}
    assert op_types(graph).count("BatchNormalization") == 1
    assert reports["fold_batch_norm"].matched == 1
    (reason,) = reports["fold_batch_norm"].refused
    assert "has other readers" in reason


def test_no_constant_is_left_to_compute(graph):
    run_passes(graph, STANDARD)
    assert not {"Constant", "Cast", "CastLike", "Shape", "Expand", "Identity"} & set(op_types(graph))


class Rolled(nn.Module):
    """As Swin's shifted windows: the position of a slice follows from the shape of the slice before."""

    def forward(self, clip):
        return clip.roll((1, -2, 3), (1, 3, 4))[:, 0].mean((2, 3))


def test_a_roll_over_several_axes_becomes_slices_of_known_shapes():
    graph = trace(Rolled().eval(), torch.zeros(1, 4, 3, 8, 8))
    run_passes(graph, STANDARD)
    assert not {"Shape", "Mod"} & set(op_types(graph))
    assert all(value.shape is not None for node in graph.graph for value in node.outputs)
    clip = np.random.default_rng(0).standard_normal((1, 4, 3, 8, 8), dtype=np.float32)
    with torch.no_grad():
        expected = Rolled()(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(run(graph, clip), expected, rtol=1e-5, atol=1e-6)


class Masked(nn.Module):
    """As Swin: a mask of regions is painted in forward, one of them empty."""

    def forward(self, clip):
        mask = clip.new_zeros(clip.shape[-2:])
        for number, rows in enumerate((slice(0, -4), slice(-4, -2), slice(-2, None), slice(8, None))):
            for columns in (slice(0, -3), slice(-3, None)):
                mask[rows, columns] = number + (columns.stop is None)
        return (clip * mask).mean((1, 3, 4))


def test_a_mask_written_in_forward_becomes_a_constant():
    graph = trace(Masked().eval(), torch.zeros(1, 4, 3, 8, 8))
    assert "ScatterND" in op_types(graph)
    run_passes(graph, STANDARD)
    assert op_types(graph) == ["Mul", "ReduceMean"]
    clip = np.random.default_rng(0).standard_normal((1, 4, 3, 8, 8), dtype=np.float32)
    with torch.no_grad():
        expected = Masked()(torch.from_numpy(clip)).numpy()
    np.testing.assert_allclose(run(graph, clip), expected, rtol=1e-5, atol=1e-6)


def test_a_graph_holds_no_trace_of_the_machine(graph):
    text = str(ir.to_proto(graph))
    assert ".py" not in text
    assert "stack_trace" not in text


def test_the_verifier_accepts_a_traced_graph(graph):
    verify(graph)


def break_order(graph):
    first = next(iter(graph.graph))
    graph.graph.remove(first)
    graph.graph.append(first)


def break_name(graph):
    nodes = [node for node in graph.graph if node.op_type == "Conv"]
    nodes[1].outputs[0].name = nodes[0].outputs[0].name


def break_shape(graph):
    graph.graph.inputs[0].shape = ir.Shape(("N", 2, 3, 8, 8))


def break_operator(graph):
    next(node for node in graph.graph if node.op_type == "Conv").op_type = "Convolution"


def break_domain(graph):
    next(node for node in graph.graph if node.op_type == "Conv").domain = "somebody"
    graph.opset_imports["somebody"] = 1


def break_weights(graph):
    value = graph.graph.initializers["conv.weight"]
    broken = value.const_value.numpy().copy()
    broken[0, 0, 0, 0] = np.nan
    value.const_value = ir.tensor(broken, name=value.name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_order, "which nothing before it defines"),
        (break_name, "is defined twice"),
        (break_shape, "no fixed shape"),
        (break_operator, "Convolution"),
        (break_domain, "unknown domain 'somebody'"),
        (break_weights, "'conv.weight' are not all finite"),
    ],
)
def test_the_verifier_refuses_a_malformed_graph(graph, damage, message):
    damage(graph)
    with pytest.raises(ExportError, match=message):
        verify(graph)


def test_folding_twice_has_no_further_effect(graph):
    run_passes(graph, STANDARD)
    assert fold_batch_norm(graph).matched == 0


@pytest.mark.parametrize("outputs", [1, 4])
def test_a_volume_is_convolved_without_the_bias_that_the_exporter_invents(outputs):
    """Zeros of shape (outputs, 2), which ONNX Runtime refuses."""
    volume, conv = torch.randn(1, 3, 4, 5, 6), nn.Conv3d(3, outputs, 3, padding=1, bias=False).eval()
    graph = trace(conv, volume)
    fold_constants(graph)
    assert drop_zero_bias(graph).matched == 1
    (node,) = [node for node in graph.graph if node.op_type == "Conv"]
    assert len(node.inputs) == 2
    run_passes(graph, STANDARD)
    output = run(graph, volume.numpy())
    np.testing.assert_allclose(output, conv(volume).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_real_bias_is_kept():
    conv = nn.Conv3d(3, 4, 3).eval()
    nn.init.zeros_(conv.bias)
    graph = trace(conv, torch.randn(1, 3, 4, 5, 6))
    fold_constants(graph)
    assert drop_zero_bias(graph).matched == 0
