"""TemporalConv(x, w) -> sum over taps of (frames of x moved by a tap) * w[:, tap], in standard operators.

For one clip the batch axis is time, so that everything stays 4-D: k products and sums of slices, which
TensorRT fuses into one kernel. The same channel-wise convolution as a Conv would need two transpositions.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops import temporal_conv
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.lower_temporal_shift import concat, moved, slice_of
from edgevid.specs import PassReport


def lower_temporal_conv(graph: ir.Model) -> PassReport:
    """Replace each temporal convolution, and each streaming step of one, by products and sums."""
    rewrites = {"TemporalConv": _lower_conv, "TemporalConvStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    return PassReport("lower_temporal_conv", matched)


def _lower_conv(node: ir.Node, build: Builder) -> None:
    x, filters = node.inputs[0], temporal_conv.from_node(node)
    # A tap that always looks beyond the clip adds nothing.
    seen = {
        tap: moved(x, offset, filters.frames, build) if offset else x
        for tap, offset in enumerate(filters.offsets)
        if abs(offset) < filters.frames
    }
    build.replace_anchor(_weighted_sum(seen, *node.inputs[1:], build=build))


def _lower_step(node: ir.Node, build: Builder) -> None:
    x, state, *weights = node.inputs
    channels, length = x.shape[1], state.shape[1]
    seen = {
        tap: slice_of(state, 1, start, start + channels, build)
        for tap, start in enumerate(range(0, length, channels))
    }
    seen[len(seen)] = x
    kept = [slice_of(state, 1, channels, length, build)] if channels < length else []
    build.replace_anchor(_weighted_sum(seen, *weights, build=build), concat([*kept, x], 1, build))


def _weighted_sum(
    seen: dict[int, ir.Value], weight: ir.Value, bias: ir.Value | None = None, *, build: Builder
) -> ir.Value:
    """The frames that each tap sees times its weights, and the bias."""
    total = None
    for tap, frames in seen.items():
        shape, type_ = frames.shape.numpy(), frames.type
        product = build.node("Mul", [frames, _column(weight, tap, len(shape), build)], shape, type_)
        total = product if total is None else build.node("Add", [total, product], shape, type_)
    if bias is None:
        return total
    return build.node("Add", [total, _column(bias, None, len(shape), build)], shape, type_)


def _column(weight: ir.Value, tap: int | None, rank: int, build: Builder) -> ir.Value:
    """One weight for each channel of a tensor of ``rank`` axes, ``(C, 1, ...)``; they may be computed too."""
    shape = (weight.shape[0], *[1] * (rank - 2))
    if weight.const_value is not None:
        array = weight.const_value.numpy()
        return build.constant((array if tap is None else array[:, tap]).reshape(shape))
    if tap is not None:
        weight = slice_of(weight, 1, tap, tap + 1, build)
    return build.node("Reshape", [weight, build.ints(shape)], shape, weight.type)
