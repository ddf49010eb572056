"""Converters of standard operators to TVM's Relax, a function for each ONNX operator.

Operators that work with channels last do so if their input already has channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgevid.backends.tvm.importer.data_movement import DATA_MOVEMENT
from edgevid.backends.tvm.importer.frontend import has_converter, unsupported_message, write_by_frontend
from edgevid.backends.tvm.importer.groups import attribute, clip_bounds
from edgevid.backends.tvm.importer.importer import (
    TO_LAST,
    Importer,
    UnsupportedNodeError,
    constant,
    is_constant,
    shape_of,
)
from edgevid.errors import ExportError

if TYPE_CHECKING:
    import onnx_ir as ir


def check_operators(nodes: Iterable[ir.Node]) -> None:
    """Raise ``ExportError`` for the first of ``nodes`` with a converter neither here nor in TVM."""
    for node in nodes:
        if node.domain or not (node.op_type in OPERATORS or has_converter(node)):
            raise ExportError(unsupported_message(node))


def write_operator(
    importer: Importer,
    node: ir.Node,
    overrides: Mapping[str, Callable[[Importer, ir.Node], None]] | None = None,
) -> None:
    """Emit one node that passed ``check_operators``, with edgevid's converter if possible, else with TVM's.

    ``overrides`` replaces some of ``OPERATORS``.
    """
    converters = {**OPERATORS, **(overrides or {})}
    if node.op_type in converters:
        try:
            converters[node.op_type](importer, node)
            return
        except UnsupportedNodeError as error:
            if not has_converter(node):
                raise ExportError(unsupported_message(node, error)) from error
    write_by_frontend(importer, node)


def _elementwise(importer: Importer, node: ir.Node, operation: str) -> None:
    """An elementwise operation, with broadcasting."""
    from tvm import relax

    last = _use_channels_last(importer, node.inputs)
    operands = [_operand(importer, value, last) for value in node.inputs]
    importer.set(node.outputs[0], getattr(relax.op, operation)(*operands), last)


def _use_channels_last(importer: Importer, values) -> bool:
    """Whether an elementwise operation on ``values`` can and should have channels last."""
    ranks_fit = all(len(shape_of(value)) == 4 or np.prod(shape_of(value)) == 1 for value in values)
    return ranks_fit and any(importer.is_last(value) for value in values)


def _operand(importer: Importer, value: ir.Value, last: bool):
    return importer.last(value) if last and len(shape_of(value)) == 4 else importer.first(value)


def _unary(importer: Importer, node: ir.Node, make: Callable) -> None:
    x = node.inputs[0]
    last = importer.is_last(x)
    importer.set(node.outputs[0], make(importer.last(x) if last else importer.first(x)), last)


def _relu(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    _unary(importer, node, relax.op.nn.relu)


def _sigmoid(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    _unary(importer, node, relax.op.sigmoid)


def _leaky_relu(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    slope = attribute(node.attributes, "alpha", 0.01)
    _unary(importer, node, lambda x: relax.op.nn.leakyrelu(x, slope))


def _clip(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    low, high = clip_bounds(node)
    largest = float(np.finfo(np.float32).max)
    bounds = (-largest if low is None else low, largest if high is None else high)
    _unary(importer, node, lambda x: relax.op.clip(x, *bounds))


def _softmax(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    axis = attribute(node.attributes, "axis", -1)
    importer.set(node.outputs[0], relax.op.nn.softmax(importer.first(node.inputs[0]), axis))


def _batch_norm(importer: Importer, node: ir.Node) -> None:
    """A scale and an offset for each channel, from constant parameters."""
    from tvm import relax

    scale, offset, mean, variance = (constant(value).astype(np.float64) for value in node.inputs[1:5])
    scale = scale / np.sqrt(variance + attribute(node.attributes, "epsilon", 1e-5))
    offset = offset - mean * scale
    x = node.inputs[0]
    last = importer.is_last(x)
    shape = (-1,) if last else (-1, *[1] * (len(shape_of(x)) - 2))
    scale, offset = (relax.const(array.astype(np.float32).reshape(shape)) for array in (scale, offset))
    _unary(importer, node, lambda x: relax.op.add(relax.op.multiply(x, scale), offset))


def _reduce(importer: Importer, node: ir.Node, operation: str) -> None:
    from tvm import relax

    x = node.inputs[0]
    rank = len(shape_of(x))
    axes_value = node.inputs[1] if len(node.inputs) > 1 else None
    axes = (
        sorted(int(axis) % rank for axis in constant(axes_value))
        if axes_value is not None
        else list(range(rank))
    )
    keep = bool(attribute(node.attributes, "keepdims", 1))
    # Without the reduced axes, the others must be in the graph's order.
    last = importer.is_last(x) and (keep or axes in ([2, 3], [1, 2, 3]))
    if last:
        axes = [TO_LAST.index(axis) for axis in axes]
    value = importer.last(x) if last else importer.first(x)
    importer.set(node.outputs[0], getattr(relax.op, operation)(value, axes, keep), last and keep)


def _pool(importer: Importer, node: ir.Node, operation: str) -> None:
    from tvm import relax

    x, attributes = node.inputs[0], node.attributes
    if len(shape_of(x)) != 4:
        raise UnsupportedNodeError(f"its input has shape {shape_of(x)}, not four dimensions")
    last = importer.is_last(x)
    arguments = {
        "pool_size": tuple(attributes["kernel_shape"].as_ints()),
        "strides": tuple(attribute(attributes, "strides", (1, 1))),
        "padding": tuple(attribute(attributes, "pads", (0, 0, 0, 0))),
        "dilation": tuple(attribute(attributes, "dilations", (1, 1))),
        "ceil_mode": bool(attribute(attributes, "ceil_mode", 0)),
        "layout": "NHWC" if last else "NCHW",
    }
    if operation == "avg_pool2d":
        arguments["count_include_pad"] = bool(attribute(attributes, "count_include_pad", 0))
    _unary(importer, node, lambda x: getattr(relax.op.nn, operation)(x, **arguments))


def _gemm(importer: Importer, node: ir.Node) -> None:
    """A classifier, as a 1x1 convolution of single pixels."""
    from edgevid.backends.tvm.importer.conv import write_product

    attributes = node.attributes
    weight = constant(node.inputs[1]) * np.float32(attribute(attributes, "alpha", 1.0))
    weight = weight if attribute(attributes, "transB", 0) else weight.T
    if attribute(attributes, "transA", 0):
        raise UnsupportedNodeError("its input is transposed")
    bias = np.zeros(len(weight), np.float32)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = bias + constant(node.inputs[2]).reshape(-1) * np.float32(attribute(attributes, "beta", 1.0))
    write_product(importer, node.inputs[0], weight, bias, node.outputs[0])


def _matmul(importer: Importer, node: ir.Node) -> None:
    from tvm import relax

    left, right = node.inputs
    if is_constant(right) and len(shape_of(right)) == 2:
        from edgevid.backends.tvm.importer.conv import write_product

        weight = constant(right).T
        write_product(importer, left, weight, np.zeros(len(weight), np.float32), node.outputs[0])
        return
    importer.set(node.outputs[0], relax.op.matmul(importer.first(left), importer.first(right)))


OPERATORS: dict[str, Callable[[Importer, ir.Node], None]] = {
    "Add": partial(_elementwise, operation="add"),
    "Sub": partial(_elementwise, operation="subtract"),
    "Mul": partial(_elementwise, operation="multiply"),
    "Div": partial(_elementwise, operation="divide"),
    "Max": partial(_elementwise, operation="maximum"),
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "LeakyRelu": _leaky_relu,
    "Clip": _clip,
    "Softmax": _softmax,
    "BatchNormalization": _batch_norm,
    "ReduceMean": partial(_reduce, operation="mean"),
    "ReduceSum": partial(_reduce, operation="sum"),
    "ReduceMax": partial(_reduce, operation="max"),
    "MaxPool": partial(_pool, operation="max_pool2d"),
    "AveragePool": partial(_pool, operation="avg_pool2d"),
    "Gemm": _gemm,
    "MatMul": _matmul,
    **DATA_MOVEMENT,
}
"""Converters by operator; those that only move data are in ``data_movement``."""
