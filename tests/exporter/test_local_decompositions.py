"""Operators that are replaced where they stand, and those for which the program is traced again."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgevid.exporter import decompositions
from edgevid.exporter.trace import trace

pytestmark = pytest.mark.slow


class Lambda(nn.Module):
    """A convolution with a batch norm, and then any function of its output."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.norm, self.function = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), function
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x):
        return self.function(self.norm(self.conv(x)))


def read_after_it_was_written(x):
    y = functional.relu_(x)
    return x + 2 * y


def read_before_it_was_written(x):
    doubled = x * 2
    functional.relu_(x)
    return doubled - x


def written_twice(x):
    x.relu_().mul_(3.0)
    x += x.mean()
    return x


def view_read_after_its_base_was_written(x):
    view = x.flatten(1)
    functional.relu_(x)
    return view


def base_read_after_its_view_was_written(x):
    x[:, :2].relu_()
    return x * 2


LOCAL = {
    "read after it was written": read_after_it_was_written,
    "read before it was written": read_before_it_was_written,
    "written twice": written_twice,
    "flattened, of strides": lambda x: x.transpose(1, 2).flatten(1, 2) + 1,
    "padded": lambda x: functional.pad(x, (1, 0, 2, 1), value=3.0),
    "padded by reflection": lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"),
    "a mean by a pool": lambda x: functional.adaptive_avg_pool2d(x, 1).flatten(1),
    "dropout": lambda x: functional.dropout(functional.relu(x), training=False) * 2,
    "a pool": lambda x: functional.avg_pool2d(x, 2),
    "a softmax": lambda x: functional.softmax(x, -1) + functional.softmax(x, 1),
    "larger by the nearest": lambda x: functional.interpolate(x, scale_factor=2, mode="nearest"),
    "of a size by the nearest": lambda x: functional.interpolate(x, size=(11, 20), mode="nearest"),
}
TRACED = {
    "a view read after its base was written": view_read_after_its_base_was_written,
    "a base read after its view was written": base_read_after_its_view_was_written,
    "a pool to several": lambda x: functional.adaptive_avg_pool2d(x, 3),
    "a divisor": lambda x: functional.avg_pool2d(x, 2, divisor_override=3),
    "an operator that has no translation": lambda x: functional.logsigmoid(x),
}


@pytest.fixture
def outputs(monkeypatch):
    """The results of ``decompose_locally``."""
    results, real = [], decompositions.decompose_locally

    def recording(*arguments):
        results.append(real(*arguments))
        return results[-1]

    monkeypatch.setattr(decompositions, "decompose_locally", recording)
    return results


@pytest.mark.parametrize("case", [*LOCAL, *TRACED])
def test_a_graph_computes_what_pytorch_does(case, outputs):
    torch.manual_seed(0)
    network = Lambda((LOCAL | TRACED)[case]).eval()
    x = torch.randn(1, 3, 7, 9)
    graph = trace(network, x)
    assert outputs == [case in LOCAL]
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    (result,) = session.run(None, {"clip": x.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(result, network(x.clone()).numpy(), rtol=1e-5, atol=1e-5)


def test_a_written_input_is_traced(outputs):
    class InPlace(nn.Module):
        def forward(self, x):
            return functional.relu_(x) + 1

    trace(InPlace().eval(), torch.randn(1, 3, 4, 4))
    assert outputs == [False]


def test_free_sizes_are_traced(outputs):
    trace(Lambda(functional.relu_).eval(), torch.randn(2, 3, 8, 8), free={0: "batch"})
    assert outputs == [False]


@pytest.mark.parametrize("case", LOCAL)
def test_a_graph_has_the_operators_that_tracing_gives(case, monkeypatch):
    network, x = Lambda(LOCAL[case]).eval(), torch.randn(1, 3, 7, 9)
    graph = trace(network, x)
    monkeypatch.setattr(decompositions, "decompose_locally", lambda *_: False)
    for_comparison = trace(network, x)
    assert kinds(graph) == kinds(for_comparison)


def kinds(graph: ir.Model) -> list[str]:
    """Operators but for those that compute nothing."""
    return [node.op_type for node in graph.graph if node.op_type not in ("Identity", "Constant")]
