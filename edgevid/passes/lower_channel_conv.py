"""ChannelConv(x, w) -> Reshape(Conv(Reshape(x), w)): a Conv2d on (N, 1, C, H*W) with kernel (L, 1)."""

from __future__ import annotations

from math import prod

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops import channel_conv
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.specs import PassReport


def lower_channel_conv(graph: ir.Model) -> PassReport:
    """Replace each channel convolution by a two-dimensional one."""
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type == "ChannelConv":
            _lower(node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    return PassReport("lower_channel_conv", matched)


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


def _reshaped(value: ir.Value, shape: tuple[int, ...], build: Builder) -> ir.Value:
    if value.const_value is not None:
        return build.constant(value.const_value.numpy().reshape(shape))
    return build.node("Reshape", [value, build.ints(shape)], shape, value.type)
