"""TemporalShift(x) -> Concat of 4-D slices and zeros, in standard operators that every TensorRT parses.

For one clip the batch axis is time, so no reshape to 5-D is needed: a group shifted by +1 is frames 1 to T
followed by a frame of zeros. For several clips in the batch a gather along the batch axis says, for each
frame, which one it takes; the zeros are one more frame at the end.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.ops import temporal_shift
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.specs import PassReport


def lower_temporal_shift(graph: ir.Model) -> PassReport:
    """Replace each shift, and each streaming step of one, by slices and concatenations of static shape."""
    rewrites = {"TemporalShift": _lower_shift, "TemporalShiftStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    attach_functions(graph)
    return PassReport("lower_temporal_shift", matched)


def _lower_shift(node: ir.Node, build: Builder) -> None:
    x, shift = node.inputs[0], temporal_shift.from_node(node)
    parts = [
        moved(slice_of(x, 1, group, group + shift.fold, build), offset, shift.frames, build)
        for group, offset in ((0, shift.first), (shift.fold, shift.second))
        if offset and shift.fold
    ]
    channels = x.shape[1]
    if shift.moved_channels < channels:
        parts.append(slice_of(x, 1, shift.moved_channels, channels, build))
    build.replace_anchor(concat(parts, 1, build))


def moved(x: ir.Value, offset: int, frames: int, build: Builder) -> ir.Value:
    """For each frame the one ``offset`` later in its clip of ``frames``, zeros beyond the clip."""
    shape, distance = tuple(x.shape.numpy()), min(abs(offset), frames)
    if shape[0] == frames:
        zeros = build.zeros((distance, *shape[1:]), x.dtype.numpy())
        if distance == frames:
            return zeros
        if offset > 0:
            return concat([slice_of(x, 0, distance, frames, build), zeros], 0, build)
        return concat([zeros, slice_of(x, 0, 0, frames - distance, build)], 0, build)
    frame = np.arange(shape[0])
    inside = (frame % frames + offset >= 0) & (frame % frames + offset < frames)
    source = np.where(inside, frame + offset, shape[0])
    padded = concat([x, build.zeros((1, *shape[1:]), x.dtype.numpy())], 0, build)
    return build.node("Gather", [padded, build.ints(source)], shape, x.type, axis=0)


def _lower_step(node: ir.Node, build: Builder) -> None:
    x, state = node.inputs
    fold, channels = node.attributes["fold"].as_int(), x.shape[1]
    rest = [slice_of(x, 1, fold, channels, build)] if fold < channels else []
    y = concat([state, *rest], 1, build)
    build.replace_anchor(y, slice_of(x, 1, 0, fold, build))


def slice_of(x: ir.Value, axis: int, start: int, end: int, build: Builder) -> ir.Value:
    shape = list(x.shape.numpy())
    shape[axis] = end - start
    bounds = [build.ints([start]), build.ints([end]), build.ints([axis])]
    return build.node("Slice", [x, *bounds], shape, x.type)


def concat(parts: list[ir.Value], axis: int, build: Builder) -> ir.Value:
    shape = list(parts[0].shape.numpy())
    shape[axis] = sum(part.shape[axis] for part in parts)
    return build.node("Concat", parts, shape, parts[0].type, axis=axis)
