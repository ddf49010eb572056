"""Quantization schemes of the runtimes, and groups of values with a common scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

Range = tuple[float, float]

MOVES = {
    "Concat", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
}  # fmt: skip
"""Operators that only move data, on integers as on floats."""


@dataclass(frozen=True)
class Scheme:
    """The form of quantized graphs that a runtime expects.

    ``symmetric`` activations are int8 around zero, others uint8 with a zero point. With ``all_results``, the
    outputs of convolutions and of ``others`` are quantized at once, for a runtime with one kernel per
    operator; without, they stay in float until a quantized layer reads them, so that a compiler can fuse a
    bias, a sum and an activation first. ``integer_constants`` stores weights as int8 and biases as int32
    instead of leaving their quantization to the runtime.
    """

    symmetric: bool
    all_results: bool
    integer_constants: bool
    others: frozenset[str] = frozenset()


TENSORRT = Scheme(symmetric=True, all_results=False, integer_constants=False)
"""TensorRT's explicit quantization: symmetric, float biases, QDQ nodes at the inputs of layers."""

ONNXRUNTIME = Scheme(
    symmetric=False,
    all_results=True,
    integer_constants=True,
    others=frozenset({"Add", "Mul", "GlobalAveragePool", "AveragePool"}),
)
"""Fused to QLinear kernels by ONNX Runtime; a zero point at the minimum absorbs the activation."""


@dataclass
class Group:
    """Values with a common scale: ``members`` in order, and the ``range`` that covers them all."""

    members: list[ir.Value] = field(default_factory=list)
    should_quantize: bool = False
    range: Range | None = None
    refusal: str = ""


def moved_inputs(node: ir.Node) -> list[ir.Value]:
    """The float tensors that ``node`` only moves; empty if it computes anything."""
    if node.domain or node.op_type not in MOVES:
        return []
    if node.op_type == "Pad" and not _pads_with_zero(node):
        return []
    inputs = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return [value for value in inputs if value.dtype == ir.DataType.FLOAT]


def _pads_with_zero(node: ir.Node) -> bool:
    if node.attributes.get_string("mode", "constant") != "constant":
        return True
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    return fill is None or (fill.const_value is not None and not fill.const_value.numpy().any())
