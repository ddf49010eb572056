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
        _moved(x, group, offset, shift, build)
        for group, offset in ((0, shift.first), (shift.fold, shift.second))
        if offset and shift.fold
    ]
    channels = x.shape[1]
    if shift.moved_channels < channels:
        parts.append(_slice(x, 1, shift.moved_channels, channels, build))
    build.replace_anchor(_concat(parts, 1, build))


def _moved(x: ir.Value, start: int, offset: int, shift: temporal_shift.Shift, build: Builder) -> ir.Value:
    group = _slice(x, 1, start, start + shift.fold, build)
    frames, shape = shift.frames, tuple(group.shape.numpy())
    zeros = build.zeros((1, *shape[1:]), group.dtype.numpy())
    if shape[0] == frames:
        if frames == 1:
            return zeros
        if offset == 1:
            return _concat([_slice(group, 0, 1, frames, build), zeros], 0, build)
        return _concat([zeros, _slice(group, 0, 0, frames - 1, build)], 0, build)
    frame = np.arange(shape[0])
    inside = (frame % frames + offset >= 0) & (frame % frames + offset < frames)
    source = np.where(inside, frame + offset, shape[0])
    padded = _concat([group, zeros], 0, build)
    return build.node("Gather", [padded, build.ints(source)], shape, x.type, axis=0)


def _lower_step(node: ir.Node, build: Builder) -> None:
    x, state = node.inputs
    fold, channels = node.attributes["fold"].as_int(), x.shape[1]
    rest = [_slice(x, 1, fold, channels, build)] if fold < channels else []
    y = _concat([state, *rest], 1, build)
    build.replace_anchor(y, _slice(x, 1, 0, fold, build))


def _slice(x: ir.Value, axis: int, start: int, end: int, build: Builder) -> ir.Value:
    shape = list(x.shape.numpy())
    shape[axis] = end - start
    bounds = [build.ints([start]), build.ints([end]), build.ints([axis])]
    return build.node("Slice", [x, *bounds], shape, x.type)


def _concat(parts: list[ir.Value], axis: int, build: Builder) -> ir.Value:
    shape = list(parts[0].shape.numpy())
    shape[axis] = sum(part.shape[axis] for part in parts)
    return build.node("Concat", parts, shape, parts[0].type, axis=axis)
