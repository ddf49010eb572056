"""TemporalShift(x) -> Concat of 4-D slices and zeros, in standard operators that every TensorRT parses.

For one clip the batch axis is time, so no reshape to 5-D is needed: a group shifted by +1 is frames 1 to T
followed by a frame of zeros, which are concatenated or padded (``form``). For several clips in the batch a
gather along the batch axis says, for each frame, which one it takes; the zeros are one more frame at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.ops import temporal_shift
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.specs import PassReport

SLICES, PADDED, GATHERED = "slice and concat", "slice and pad", "gather along time"
FORMS = (SLICES, PADDED, GATHERED)
"""How the frames of one clip can be moved; they mean the same and cost a runtime differently."""


def lower_temporal_shift(graph: ir.Model, form: str = SLICES) -> PassReport:
    """Replace each shift, and each streaming step of one, by standard operators of static shape."""
    rewrites = {"TemporalShift": partial(_lower_shift, form=form), "TemporalShiftStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    attach_functions(graph)
    return PassReport("lower_temporal_shift", matched)


def _lower_shift(node: ir.Node, build: Builder, form: str) -> None:
    x, shift = node.inputs[0], temporal_shift.from_node(node)
    parts = [
        moved(slice_of(x, 1, group, group + shift.fold, build), offset, shift.frames, build, form)
        for group, offset in ((0, shift.first), (shift.fold, shift.second))
        if offset and shift.fold
    ]
    channels = x.shape[1]
    if shift.moved_channels < channels:
        parts.append(slice_of(x, 1, shift.moved_channels, channels, build))
    build.replace_anchor(concat(parts, 1, build))


def moved(x: ir.Value, offset: int, frames: int, build: Builder, form: str = SLICES) -> ir.Value:
    """For each frame the one ``offset`` later in its clip of ``frames``, zeros beyond the clip."""
    shape, distance = tuple(x.shape.numpy()), min(abs(offset), frames)
    if shape[0] != frames:
        return _gathered(x, offset, frames, build)
    if distance == frames:
        return build.zeros(shape, x.dtype.numpy())
    return _MOVES[form](x, offset, frames, build)


def _concatenated(x: ir.Value, offset: int, frames: int, build: Builder) -> ir.Value:
    zeros = build.zeros((abs(offset), *x.shape.numpy()[1:]), x.dtype.numpy())
    seen = _inside(x, offset, frames, build)
    return concat([seen, zeros] if offset > 0 else [zeros, seen], 0, build)


def _padded(x: ir.Value, offset: int, frames: int, build: Builder) -> ir.Value:
    shape = tuple(x.shape.numpy())
    before, after = [0] * len(shape), [0] * len(shape)
    before[0], after[0] = max(-offset, 0), max(offset, 0)
    seen = _inside(x, offset, frames, build)
    return build.node("Pad", [seen, build.ints([*before, *after])], shape, x.type)


def _inside(x: ir.Value, offset: int, frames: int, build: Builder) -> ir.Value:
    """The frames of one clip that are still in it when they are moved."""
    return slice_of(x, 0, max(offset, 0), frames + min(offset, 0), build)


def _gathered(x: ir.Value, offset: int, frames: int, build: Builder) -> ir.Value:
    shape = tuple(x.shape.numpy())
    frame = np.arange(shape[0])
    inside = (frame % frames + offset >= 0) & (frame % frames + offset < frames)
    source = np.where(inside, frame + offset, shape[0])
    padded = concat([x, build.zeros((1, *shape[1:]), x.dtype.numpy())], 0, build)
    return build.node("Gather", [padded, build.ints(source)], shape, x.type, axis=0)


_MOVES: dict[str, Callable[[ir.Value, int, int, Builder], ir.Value]] = {
    SLICES: _concatenated,
    PADDED: _padded,
    GATHERED: _gathered,
}


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
