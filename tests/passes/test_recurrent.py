"""LSTM, GRU and RNN written as steps, or with transposes for ``layout``, compute what they did."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgevid.errors import ExportError
from edgevid.passes import run_passes
from edgevid.passes.recurrent import layout_to_transposes, unroll_recurrent

pytestmark = pytest.mark.slow

STEPS, BATCH, CHANNELS, HIDDEN = 3, 2, 5, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def network(kind: str, layout: int = 0, initial: bool = True, **attributes) -> onnx.ModelProto:
    """One operator with all its results; its weights and states are the same for either layout."""
    random = np.random.default_rng(0)
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    arrays = {
        "W": (ways, GATES[kind] * HIDDEN, CHANNELS),
        "R": (ways, GATES[kind] * HIDDEN, HIDDEN),
        "B": (ways, 2 * GATES[kind] * HIDDEN),
        "h": (ways, BATCH, HIDDEN),
        "c": (ways, BATCH, HIDDEN),
    }
    arrays = {name: random.standard_normal(shape).astype("f4") / 2 for name, shape in arrays.items()}
    if layout:
        arrays = {name: a.transpose(1, 0, 2) if name in "hc" else a for name, a in arrays.items()}
    states = (["", "h", "c"] if kind == "LSTM" else ["", "h"]) if initial else []
    results = ["y", "last_h", "last_c"][: 3 if kind == "LSTM" else 2]
    x = (BATCH, STEPS, CHANNELS) if layout else (STEPS, BATCH, CHANNELS)
    shapes = [(BATCH, STEPS, ways, HIDDEN), *[(BATCH, ways, HIDDEN)] * 2]
    if not layout:
        shapes = [(STEPS, ways, BATCH, HIDDEN), *[(ways, BATCH, HIDDEN)] * 2]
    options = {"hidden_size": HIDDEN, "layout": layout, **attributes}
    node = helper.make_node(kind, ["x", "W", "R", "B", *states], results, name="memory", **options)
    graph = helper.make_graph(
        [node],
        "network",
        [helper.make_tensor_value_info("x", 1, x)],
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in zip(results, shapes)],
        [numpy_helper.from_array(arrays[name], name) for name in node.input[1:] if name],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})


def rewritten(model: onnx.ModelProto, rewrite) -> onnx.ModelProto:
    graph = ir.from_proto(model)
    (report,) = run_passes(graph, (rewrite,))
    assert report.matched == 1
    return ir.to_proto(graph)


X = np.random.default_rng(1).standard_normal((STEPS, BATCH, CHANNELS), dtype=np.float32)


@pytest.mark.parametrize(
    "kind, options",
    [
        ("LSTM", {}),
        ("LSTM", {"direction": "bidirectional"}),
        ("LSTM", {"initial": False}),
        ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}),
        ("GRU", {"linear_before_reset": 0}),
        ("RNN", {"direction": "reverse"}),
        ("RNN", {"direction": "bidirectional", "activations": ["Relu", "Relu"]}),
    ],
)
def test_the_steps_compute_what_the_operator_does(kind, options):
    model = network(kind, **options)
    steps = rewritten(model, unroll_recurrent)
    assert not {node.op_type for node in steps.graph.node} & GATES.keys()
    for result, expected in zip(run(steps, X), run(model, X)):
        np.testing.assert_allclose(result, expected, atol=1e-6)
    others = run(network("RNN" if kind != "RNN" else "LSTM"), X)
    assert not np.allclose(run(steps, X)[0][:, :1], others[0], atol=1e-2)


def test_all_time_steps_share_the_weights():
    steps = rewritten(network("LSTM"), unroll_recurrent)
    used = {name for node in steps.graph.node for name in node.input}
    large = [array for array in steps.graph.initializer if array.name in used and len(array.dims) == 2]
    assert sorted(tuple(array.dims) for array in large) == [(16, 4), (16, 5)]


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("rewrite", [layout_to_transposes, unroll_recurrent])
def test_a_batch_that_comes_first_is_transposed(kind, rewrite):
    """ONNX Runtime does not support this layout, so the other one gives the expected output."""
    options = {"direction": "bidirectional"}
    result = run(rewritten(network(kind, 1, **options), rewrite), X.transpose(1, 0, 2))
    expected = run(network(kind, **options), X)
    np.testing.assert_allclose(result[0], expected[0].transpose(2, 0, 1, 3), atol=1e-6)
    for state, expected_state in zip(result[1:], expected[1:]):
        np.testing.assert_allclose(state, expected_state.transpose(1, 0, 2), atol=1e-6)


@pytest.mark.parametrize(
    "options, reason", [({"clip": 3.0}, "clipping"), ({"activations": ["Relu", "Tanh", "Tanh"]}, "Relu")]
)
def test_an_operator_that_cannot_be_unrolled_is_named(options, reason):
    graph = ir.from_proto(network("LSTM", **options))
    with pytest.raises(
        ExportError, match=f"LSTM 'memory' cannot be unrolled .*{reason}.*--backend onnxruntime"
    ):
        unroll_recurrent(graph)
