"""How a runtime takes int8, and groups of values that share a scale."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

Range = tuple[float, float]

MOVES = {
    "Concat", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
}  # fmt: skip
"""Operators that only move numbers, and so work on integers as on floats."""


@dataclass(frozen=True)
class Scheme:
    """What a runtime wants of quantised graphs.

    ``symmetric`` activations are int8 around zero, others uint8 with a zero point of their own. With
    ``all_results`` what convolutions and the ``others`` give is quantised at once, as a runtime needs that
    has a kernel for each operator; without, results stay floats until a product reads them, so that a
    compiler can fuse a bias, a sum and an activation first. ``integer_constants`` stores weights as int8 and
    biases as int32 instead of leaving it to the runtime to quantise them.
    """

    symmetric: bool
    all_results: bool
    integer_constants: bool
    others: frozenset[str] = frozenset()


TENSORRT = Scheme(symmetric=True, all_results=False, integer_constants=False)
"""Explicit quantisation as TensorRT documents it: symmetric, float biases, pairs where products read."""

ONNXRUNTIME = Scheme(
    symmetric=False,
    all_results=True,
    integer_constants=True,
    others=frozenset({"Add", "Mul", "GlobalAveragePool", "AveragePool"}),
)
"""What ONNX Runtime fuses to its QLinear kernels; a zero point at the lowest value swallows an activation."""


@dataclass
class Group:
    """Values of one scale: ``members`` in order, and the ``range`` that holds them all."""

    members: list[ir.Value] = field(default_factory=list)
    wanted: bool = False
    range: Range | None = None
    refusal: str = ""


def moved_inputs(node: ir.Node) -> list[ir.Value]:
    """The float tensors whose numbers ``node`` only moves; none if it does something else."""
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
