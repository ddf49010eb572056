"""All lowering variants of a temporal op compute the same; they differ in the speed of their engines."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper

from edgevid.ops import OPS
from edgevid.ops.functions import attach_functions
from edgevid.ops.moves import GATHERED, PADDED
from edgevid.ops.temporal_conv import TRANSPOSED
from edgevid.passes import run_passes
from edgevid.passes.lower import lower
from edgevid.passes.to_opset_13 import to_opset_13

OF_SHIFT, OF_CONV, OF_DIFFERENCE = (
    tuple(OPS[name].variants) for name in ("TemporalShift", "TemporalConv", "TemporalDifference")
)
FRAMES, CHANNELS = 4, 5
RANDOM = np.random.default_rng(3)
X, EARLIER = RANDOM.standard_normal((2, FRAMES, CHANNELS, 3, 2), dtype=np.float32)
WEIGHT, BIAS = RANDOM.standard_normal((CHANNELS, 3), dtype=np.float32), np.ones(CHANNELS, np.float32)


def lowered(op_type: str, variant: str, weights=(), operands=1, **attributes) -> onnx.ModelProto:
    """One temporal op, lowered in ``variant`` to opset 13; the second of two ``operands`` is ``EARLIER``."""
    inputs = ["x", "earlier"][:operands]
    tensors = [onnx.numpy_helper.from_array(array, f"w{i}") for i, array in enumerate(weights)]
    names = [*inputs, *(tensor.name for tensor in tensors)]
    node = helper.make_node(op_type, names, ["y"], domain="edgevid", name="op", **attributes)
    infos = [helper.make_tensor_value_info(name, 1, X.shape) for name in (*inputs, "y")]
    graph = ir.from_proto(
        helper.make_model(
            helper.make_graph([node], "g", infos[:-1], infos[-1:], tensors),
            opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("edgevid", 1)],
        )
    )
    attach_functions(graph)
    run_passes(graph, (lambda model: lower(model, op_type, variant), to_opset_13))
    onnx.checker.check_model(ir.to_proto(graph), full_check=True)
    return ir.to_proto(graph)


def run(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {"x": X, "earlier": EARLIER}
    return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})[0]


def kinds(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def shift(variant: str, first: int, second: int, fold: int = 2) -> onnx.ModelProto:
    attributes = {"frames": FRAMES, "fold": fold, "first": first, "second": second}
    return lowered("TemporalShift", variant, **attributes)


@pytest.mark.parametrize("directions", [(1, -1), (-1, 1), (-1, 0), (1, 0)])
@pytest.mark.parametrize("variant", OF_SHIFT)
def test_every_variant_of_a_shift_moves_the_same(variant, directions):
    np.testing.assert_array_equal(run(shift(variant, *directions)), run(shift(OF_SHIFT[0], *directions)))


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("variant", OF_CONV)
def test_every_variant_of_a_convolution_computes_the_same(variant, causal):
    models = [
        lowered("TemporalConv", f, (WEIGHT, BIAS), frames=FRAMES, causal=causal)
        for f in (variant, OF_CONV[0])
    ]
    np.testing.assert_allclose(*map(run, models), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("variant", OF_DIFFERENCE)
def test_every_variant_of_a_difference_computes_the_same(variant, causal):
    models = [
        lowered("TemporalDifference", f, operands=2, frames=FRAMES, causal=causal)
        for f in (variant, OF_DIFFERENCE[0])
    ]
    np.testing.assert_array_equal(*map(run, models))


def test_the_comparison_of_variants_can_fail():
    assert not np.array_equal(run(shift(PADDED, 1, -1)), run(shift(OF_SHIFT[0], -1, 1)))


def test_variants_consist_of_different_operators():
    assert "Pad" in kinds(shift(PADDED, 1, -1))
    assert "Gather" in kinds(shift(GATHERED, 1, -1))
    assert kinds(shift(OF_SHIFT[0], 1, -1)) == {"Slice", "Concat"}
    conv = lowered("TemporalConv", TRANSPOSED, (WEIGHT,), frames=FRAMES, causal=0)
    assert kinds(conv) == {"Reshape", "Transpose", "Conv"}
