"""Shifts of frames along the batch axis, in 4-D standard operators that every TensorRT version parses.

For one clip the batch axis is time, so no reshape to 5-D is needed: a shift by +1 is frames 1 to T followed
by a frame of zeros, concatenated or padded. For several clips in the batch, a gather along the batch axis
selects the source of each frame; the zeros are an additional frame at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgevid.ops.temporal_op import GraphBuilder

SLICES, PADDED, GATHERED = "slice and concat", "slice and pad", "gather along time"
MOVES = (SLICES, PADDED, GATHERED)
"""The variants of a shift within one clip: equal results, but different speed in a runtime."""


def shift_frames(
    x: ir.Value, offset: int, frames: int, build: GraphBuilder, variant: str = SLICES
) -> ir.Value:
    """Replace each frame by the one ``offset`` later in its clip of ``frames``, zeros beyond the clip."""
    shape, distance = tuple(x.shape.numpy()), min(abs(offset), frames)
    if shape[0] != frames:
        return _gather(x, offset, frames, build)
    if distance == frames:
        return build.zeros(shape, x.dtype.numpy())
    return _MOVES[variant](x, offset, frames, build)


def _concat_zeros(x: ir.Value, offset: int, frames: int, build: GraphBuilder) -> ir.Value:
    zeros = build.zeros((abs(offset), *x.shape.numpy()[1:]), x.dtype.numpy())
    remaining = _remaining(x, offset, frames, build)
    return concat([remaining, zeros] if offset > 0 else [zeros, remaining], 0, build)


def _pad_zeros(x: ir.Value, offset: int, frames: int, build: GraphBuilder) -> ir.Value:
    shape = tuple(x.shape.numpy())
    before, after = [0] * len(shape), [0] * len(shape)
    before[0], after[0] = max(-offset, 0), max(offset, 0)
    remaining = _remaining(x, offset, frames, build)
    return build.node("Pad", [remaining, build.ints([*before, *after])], shape, x.type)


def _remaining(x: ir.Value, offset: int, frames: int, build: GraphBuilder) -> ir.Value:
    """The frames of one clip that stay inside it after the shift."""
    return slice_of(x, 0, max(offset, 0), frames + min(offset, 0), build)


def _gather(x: ir.Value, offset: int, frames: int, build: GraphBuilder) -> ir.Value:
    shape = tuple(x.shape.numpy())
    frame = np.arange(shape[0])
    inside = (frame % frames + offset >= 0) & (frame % frames + offset < frames)
    source = np.where(inside, frame + offset, shape[0])
    padded = concat([x, build.zeros((1, *shape[1:]), x.dtype.numpy())], 0, build)
    return build.node("Gather", [padded, build.ints(source)], shape, x.type, axis=0)


_MOVES: dict[str, Callable[[ir.Value, int, int, GraphBuilder], ir.Value]] = {
    SLICES: _concat_zeros,
    PADDED: _pad_zeros,
    GATHERED: _gather,
}


def slice_of(x: ir.Value, axis: int, start: int, end: int, build: GraphBuilder) -> ir.Value:
    shape = list(x.shape.numpy())
    shape[axis] = end - start
    bounds = [build.ints([start]), build.ints([end]), build.ints([axis])]
    return build.node("Slice", [x, *bounds], shape, x.type)


def concat(parts: list[ir.Value], axis: int, build: GraphBuilder) -> ir.Value:
    shape = list(parts[0].shape.numpy())
    shape[axis] = sum(part.shape[axis] for part in parts)
    return build.node("Concat", parts, shape, parts[0].type, axis=axis)
