"""TemporalConv(x, w) -> sum over taps of (frames of x moved by a tap) * w[:, tap], in standard operators.

For one clip the batch axis is time, so that everything stays 4-D: k products and sums of slices, which
TensorRT fuses into one kernel. The same channel-wise convolution as a ``Conv`` needs two transpositions; it
is a form that can be asked for.
"""

from __future__ import annotations

from functools import partial
from math import prod

import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.ops import temporal_conv
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.lower_temporal_shift import FORMS as MOVES
from edgevid.passes.lower_temporal_shift import SLICES, concat, moved, slice_of
from edgevid.specs import PassReport

TRANSPOSED = "transpose and Conv"
FORMS = (*MOVES, TRANSPOSED)
"""Products and sums of frames moved in one of three ways, or a grouped ``Conv`` between transpositions."""


def lower_temporal_conv(graph: ir.Model, form: str = SLICES) -> PassReport:
    """Replace each temporal convolution, and each streaming step of one, by products and sums."""
    rewrites = {"TemporalConv": partial(_lower_conv, form=form), "TemporalConvStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        common.RemoveUnusedNodesPass()(graph)
        attach_functions(graph)
    return PassReport("lower_temporal_conv", matched)


def _lower_conv(node: ir.Node, build: Builder, form: str) -> None:
    x, filters = node.inputs[0], temporal_conv.from_node(node)
    if form == TRANSPOSED and node.inputs[1].const_value is not None:
        build.replace_anchor(_conv_over_time(x, filters, *node.inputs[1:], build=build))
        return
    form = form if form in MOVES else SLICES
    # A tap that always looks beyond the clip adds nothing.
    seen = {
        tap: moved(x, offset, filters.frames, build, form) if offset else x
        for tap, offset in enumerate(filters.offsets)
        if abs(offset) < filters.frames
    }
    build.replace_anchor(_weighted_sum(seen, *node.inputs[1:], build=build))


def _conv_over_time(
    x: ir.Value,
    filters: temporal_conv.Filters,
    weight: ir.Value,
    bias: ir.Value | None = None,
    *,
    build: Builder,
) -> ir.Value:
    shape, taps = tuple(x.shape.numpy()), weight.shape[1]
    clips = (shape[0] // filters.frames, filters.frames, shape[1], prod(shape[2:]))
    planes = (clips[0], clips[2], clips[1], clips[3])
    y = build.node("Reshape", [x, build.ints(clips)], clips, x.type)
    y = build.node("Transpose", [y], planes, x.type, perm=[0, 2, 1, 3])
    kernel = build.constant(weight.const_value.numpy().reshape(shape[1], 1, taps, 1))
    y = build.node(
        "Conv",
        [y, kernel, *([bias] if bias is not None else [])],
        planes,
        x.type,
        group=shape[1],
        pads=[-filters.offsets[0], 0, filters.offsets[-1], 0],
    )
    y = build.node("Transpose", [y], clips, x.type, perm=[0, 2, 1, 3])
    return build.node("Reshape", [y, build.ints(shape)], shape, x.type)


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
