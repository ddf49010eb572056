"""ChannelConv(x, w) -> Reshape(Conv(Reshape(x), w)): a Conv2d on (N, 1, C, H*W) with kernel (L, 1).

UnsharedChannelConv(x, w) -> Reshape(MatMul(w, windows(x))): the windows are (N, M, L, H*W), gathered.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops import channel_conv, unshared_channel_conv
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.specs import PassReport


def lower_channel_conv(graph: ir.Model) -> PassReport:
    """Replace each channel convolution by a two-dimensional one, or by a matrix product for each step."""
    lower = {"ChannelConv": _lower, "UnsharedChannelConv": _lower_unshared}
    nodes = [node for node in graph.graph if node.domain == ops.DOMAIN and node.op_type in lower]
    for node in nodes:
        lower[node.op_type](node, Builder(graph.graph, node, node.name))
    if nodes:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    return PassReport("lower_channel_conv", len(nodes))


def _lower(node: ir.Node, build: Builder) -> None:
    (x, weight, *bias), filters = node.inputs, channel_conv.from_node(node)
    shape = tuple(x.shape.numpy())
    images, channels, pixels = shape[0], shape[1], prod(shape[2:])
    count, taps = filters.weight_shape
    groups = build.node(
        "Conv",
        [
            _reshaped(x, (images, 1, channels, pixels), build),
            _reshaped(weight, (count, 1, taps, 1), build),
            *bias,
        ],
        (images, count, filters.outputs(channels), pixels),
        x.type,
        strides=[filters.stride, 1],
        pads=[filters.pad_begin, 0, filters.pad_end, 0],
    )
    build.replace_anchor(_reshaped(groups, filters.result_shape(shape), build))


def _lower_unshared(node: ir.Node, build: Builder) -> None:
    (x, weight, *bias), filters = node.inputs, unshared_channel_conv.from_node(node)
    shape = tuple(x.shape.numpy())
    images, channels, pixels = shape[0], shape[1], prod(shape[2:])
    count, taps, steps = filters.weight_shape
    y = _reshaped(x, (images, channels, pixels), build)
    if filters.pad_begin or filters.pad_end:
        padded = (images, filters.pad_begin + channels + filters.pad_end, pixels)
        y = build.node(
            "Pad", [y, build.ints([0, filters.pad_begin, 0, 0, filters.pad_end, 0])], padded, x.type
        )
    seen = build.constant(np.array(filters.windows()))
    windows = build.node("Gather", [y, seen], (images, steps, taps, pixels), x.type, axis=1)
    by_step = _transposed(weight, (2, 0, 1), build)
    y = build.node("MatMul", [by_step, windows], (images, steps, count, pixels), x.type)
    y = _transposed(y, (0, 2, 1, 3), build)
    if bias:
        offsets = _reshaped(bias[0], (count, steps, 1), build)
        y = build.node("Add", [y, offsets], (images, count, steps, pixels), x.type)
    build.replace_anchor(_reshaped(y, filters.result_shape(shape), build))


def _transposed(value: ir.Value, axes: tuple[int, ...], build: Builder) -> ir.Value:
    if value.const_value is not None:
        return build.constant(value.const_value.numpy().transpose(axes))
    shape = tuple(value.shape.numpy())
    return build.node("Transpose", [value], [shape[axis] for axis in axes], value.type, perm=axes)


def _reshaped(value: ir.Value, shape: tuple[int, ...], build: Builder) -> ir.Value:
    if value.const_value is not None:
        return build.constant(value.const_value.numpy().reshape(shape))
    return build.node("Reshape", [value, build.ints(shape)], shape, value.type)
