"""Equivalents of operators that opset 13, or TensorRT 8.2, does not have.

HardSwish(x) = x HardSigmoid(x); Mish(x) = x tanh(softplus(x)); Reciprocal(x) = 1 / x; Trilu is a Where with a
constant mask; LayerNormalization(x) = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) scale + bias, and
GroupNormalization is the same per group of channels; CumSum(x) = x T with a triangular matrix T of ones,
since CumSum has no fp16 in opset 13; CastLike is a Cast; transposes replace ``layout`` of recurrent
operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from edgevid.errors import ExportError
from edgevid.passes.build import Builder
from edgevid.passes.constant_values import ConstantValues
from edgevid.passes.layer_names import describe
from edgevid.passes.recurrent import layout_to_transposes
from edgevid.specs import PassReport

Write = Callable[[ir.Node, Builder], ir.Value]


def to_older_operators(graph: ir.Model) -> PassReport:
    """Replace each operator in ``OLDER`` in place; raises ``ExportError`` where it has no equivalent."""
    matched = layout_to_transposes(graph).matched
    for node in list(graph.graph):
        if not node.domain and node.op_type in OLDER:
            if any(result.uses() or result.is_graph_output() for result in node.outputs[1:]):
                raise ExportError(f"{describe(node)} has more than one output: use --backend onnxruntime")
            build = Builder(graph.graph, node, node.name)
            build.replace_anchor(OLDER[node.op_type](node, build))
            matched += 1
    return PassReport("to_older_operators", matched)


def _like(build: Builder, op_type: str, *values: ir.Value, **attributes) -> ir.Value:
    """The output of an operator, with the shape and type of the first of ``values``."""
    return build.node(op_type, values, values[0].shape.numpy(), values[0].type, **attributes)


def _scalar(build: Builder, number: float, like: ir.Value) -> ir.Value:
    return build.constant(np.array(number, like.dtype.numpy()))


def _hard_swish(node: ir.Node, build: Builder) -> ir.Value:
    x = node.inputs[0]
    return _like(build, "Mul", x, _like(build, "HardSigmoid", x, alpha=1 / 6, beta=0.5))


def _mish(node: ir.Node, build: Builder) -> ir.Value:
    x = node.inputs[0]
    return _like(build, "Mul", x, _like(build, "Tanh", _like(build, "Softplus", x)))


def _reciprocal(node: ir.Node, build: Builder) -> ir.Value:
    x = node.inputs[0]
    return build.node("Div", [_scalar(build, 1.0, x), x], x.shape.numpy(), x.type)


def _cast_like(node: ir.Node, build: Builder) -> ir.Value:
    x, like = node.inputs
    return build.node("Cast", [x], x.shape.numpy(), ir.TensorType(like.dtype), to=int(like.dtype))


def _trilu(node: ir.Node, build: Builder) -> ir.Value:
    x = node.inputs[0]
    rows, columns = x.shape.numpy()[-2:]
    diagonal = 0
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        offset = ConstantValues().of(node.inputs[1])
        if offset is None:
            raise ExportError(f"{describe(node)} has a computed diagonal: use --backend onnxruntime")
        diagonal = int(offset)
    ones = np.ones((rows, columns), bool)
    keeps = np.triu(ones, diagonal) if node.attributes.get_int("upper", 1) else np.tril(ones, diagonal)
    zero = _scalar(build, 0, x)
    return build.node("Where", [build.constant(keeps), x, zero], x.shape.numpy(), x.type)


def _running_sum(node: ir.Node, build: Builder) -> ir.Value:
    x, axis = node.inputs[0], ConstantValues().of(node.inputs[1])
    if axis is None:
        raise ExportError(f"{describe(node)} runs along a computed axis: use --backend onnxruntime")
    shape = x.shape.numpy()
    rank, axis = len(shape), int(axis) % len(shape)
    ones = np.ones((shape[axis], shape[axis]), x.dtype.numpy())
    triangle = np.triu(ones, node.attributes.get_int("exclusive", 0))
    if node.attributes.get_int("reverse", 0):
        triangle = triangle.T
    order = [*(other for other in range(rank) if other != axis), axis]
    moved_shape = [shape[other] for other in order]
    last = x if axis == rank - 1 else build.node("Transpose", [x], moved_shape, x.type, perm=order)
    sums = build.node("MatMul", [last, build.constant(triangle)], moved_shape, x.type)
    if axis == rank - 1:
        return sums
    return build.node("Transpose", [sums], shape, x.type, perm=np.argsort(order).tolist())


def _layer_norm(node: ir.Node, build: Builder) -> ir.Value:
    x, scale = node.inputs[:2]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shape = x.shape.numpy()
    first = node.attributes.get_int("axis", -1) % len(shape)
    y = _normalized(x, range(first, len(shape)), node.attributes.get_float("epsilon", 1e-5), build)
    y = _like(build, "Mul", y, scale)
    return y if bias is None else _like(build, "Add", y, bias)


def _group_norm(node: ir.Node, build: Builder) -> ir.Value:
    x, scale, bias = node.inputs
    shape, groups = x.shape.numpy(), node.attributes["num_groups"].as_int()
    in_groups = (shape[0], groups, shape[1] // groups, prod(shape[2:]))
    grouped = _reshape(x, in_groups, build)
    y = _normalized(grouped, (2, 3), node.attributes.get_float("epsilon", 1e-5), build)
    # The scale is per group up to opset 20, and per channel since opset 21.
    for op_type, factor in (("Mul", scale), ("Add", bias)):
        each = (1, groups, factor.shape[0] // groups, 1)
        y = _like(build, op_type, y, _reshape(factor, each, build))
    return _reshape(y, shape, build)


def _normalized(x: ir.Value, axes: Sequence[int], epsilon: float, build: Builder) -> ir.Value:
    """``x`` with mean 0 and variance 1 along ``axes``."""
    reduced = [1 if axis in axes else extent for axis, extent in enumerate(x.shape.numpy())]

    def mean(value: ir.Value) -> ir.Value:
        return build.node("ReduceMean", [value, build.ints(axes)], reduced, x.type, keepdims=1)

    centered = _like(build, "Sub", x, mean(x))
    variance = mean(_like(build, "Mul", centered, centered))
    deviation = _like(build, "Sqrt", _like(build, "Add", variance, _scalar(build, epsilon, x)))
    return _like(build, "Div", centered, deviation)


def _reshape(x: ir.Value, shape: Sequence[int], build: Builder) -> ir.Value:
    return build.node("Reshape", [x, build.ints(shape)], shape, x.type)


OLDER: dict[str, Write] = {
    "HardSwish": _hard_swish,
    "Mish": _mish,
    "Reciprocal": _reciprocal,
    "CastLike": _cast_like,
    "CumSum": _running_sum,
    "Trilu": _trilu,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
}
"""Operators that can be written in opset 13, for TensorRT 8.2 and later."""
