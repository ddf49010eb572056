"""Operators newer than opset 13 are written in older ones that ONNX Runtime computes to the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from edgevid.errors import ExportError
from edgevid.passes.older_operators import OLDER
from edgevid.passes.to_opset_13 import to_opset_13

pytestmark = pytest.mark.slow

SHAPE = (2, 8, 3, 5)
CONSTANTS = """
    float[5] scale = {1, 2, -1, 0.5, 3}, float[5] bias = {0, 1, 2, 3, 4},
    float[2] of_groups = {2, -1}, float[2] offsets = {0, 1}, int64 diagonal = {1}, int64 last = {-1},
    int64 second = {1}, int64[1] one = {1}, int64[2] widths = {1, 2}, int64[1] axis = {3},
    float[2] twice = {2, 2}
"""
NETWORKS = {
    "HardSwish": "y = HardSwish (x)",
    "Mish": "y = Mish (x)",
    "Reciprocal": "y = Reciprocal (x)",
    "CastLike": "z = Not (b)  y = CastLike (z, x)",
    "Trilu": "y = Trilu <upper = 1> (x, diagonal)",
    "lower Trilu": "y = Trilu <upper = 0> (x)",
    "LayerNormalization": "y = LayerNormalization <axis = -1, epsilon = 0.01> (x, scale, bias)",
    "LayerNormalization without bias": "y = LayerNormalization (x, scale)",
    "GroupNormalization": "y = GroupNormalization <num_groups = 2> (x, of_groups, offsets)",
    "CumSum": "y = CumSum (x, second)",
    "CumSum of those before, from the end": "y = CumSum <exclusive = 1, reverse = 1> (x, last)",
    "ReduceLogSumExp": "y = ReduceLogSumExp (x, one)",
    "Pad of some axes": "y = Pad (x, widths, , axis)",
    "Resize of some axes": 'y = Resize <axes = [2, 3], mode = "linear"> (x, , twice)',
}


def network(name: str) -> ir.Model:
    text = f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[2, 8, 3, 5] x, bool[2, 8, 3, 5] b) => (float y)
        <{CONSTANTS}> {{ {NETWORKS[name]} }}
    """
    model = onnx.parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return ir.from_proto(model)


def run(graph: ir.Model) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString(), options)
    random = np.random.default_rng(0)
    x = random.standard_normal(SHAPE, dtype=np.float32)
    return session.run(None, {"x": x, "b": x > 0})[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_are_the_same_in_opset_13(name):
    graph = network(name)
    expected = run(graph)
    to_opset_13(graph)
    assert graph.opset_imports[""] == 13
    assert not {node.op_type for node in graph.graph} & OLDER.keys()
    onnx.checker.check_model(ir.to_proto(graph))
    np.testing.assert_allclose(run(graph), expected, rtol=1e-5, atol=1e-5)


def test_every_replaced_operator_is_tested():
    assert {name.removeprefix("lower ").split()[0] for name in NETWORKS} >= OLDER.keys()


def test_a_second_output_is_refused_by_layer():
    graph = network("LayerNormalization")
    (node,) = graph.graph
    node.resize_outputs(2)
    node.outputs[1].name, node.meta["layer"] = "mean", "blocks.0.norm"
    graph.graph.outputs.append(node.outputs[1])
    with pytest.raises(ExportError, match=r"blocks.0.norm \(LayerNormalization\) has more than one output"):
        to_opset_13(graph)
