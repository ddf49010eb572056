"""Decides whether data movement in ``(N*T, C, ...)`` is a temporal shift: which one, or why not."""

from __future__ import annotations

from math import prod

import numpy as np

from edgevid.ops.temporal_shift import Shift
from edgevid.passes.recognize.origins import Origins

ZERO = -1
"""The source frame of a channel that is zero."""


def shift_of(origins: Origins) -> Shift | str | None:
    """The shift; a sentence why it is not one; or None if it does not resemble a shift.

    Data movement resembles a shift if it takes values from other frames or leaves zeros, but not if it leaves
    only zeros, such as a gate times an empty memory. In clips of one frame, a shift only leaves zeros, and
    its direction is unknown: it counts as bidirectional or, for an odd number of channels, as one from the
    next frame, so that it is never mistaken for a causal one.
    """
    identity = Origins.of_source(origins.shape)
    inside = _within_frames(origins, identity)
    if isinstance(inside, str):
        return inside if not origins.index.all() else None
    table, channels = inside, origins.shape[1]
    sources = np.where(table == 0, ZERO, (table - 1) // channels)
    frames = np.arange(len(table))[:, None]
    if (sources == frames).all() or (sources == ZERO).all():
        return None
    mismatches = np.argwhere((table != 0) & ((table - 1) % channels != np.arange(channels)))
    if len(mismatches):
        frame, channel = mismatches[0]
        other = (table[frame, channel] - 1) % channels
        return f"channel {channel} takes its values from channel {other}: a shift does not move channels"
    return _shift_from(sources, (sources != frames).any(axis=0))


def _within_frames(origins: Origins, identity: Origins) -> np.ndarray | str:
    """The index of the source ``(frame, channel)`` of each one, plus 1; 0 where it is zero.

    Returns a sentence if values move inside a frame.
    """
    for axis in range(2, len(origins.shape)):
        origins = origins.merged(axis)
        factors = origins.axes[axis]
        if not factors:
            continue
        k, _ = origins.span(axis)
        index, ramp = (
            origins.index,
            np.arange(factors[0].size) * (factors[0].step - identity.axes[axis][0].step),
        )
        if index.shape[k] > 1 or ramp.any():
            ramp = ramp.reshape([-1 if number == k else 1 for number in range(index.ndim)])
            index = np.where(index == 0, 0, index + ramp)
        if (index != index.take([0], axis=k)).any():
            return f"it moves values along axis {axis}, inside a frame, not along time"
        origins = origins.take(axis, [0])
    size = prod(identity.shape[2:])
    table = origins.elements().reshape(identity.shape[:2])
    if ((table - 1) % size)[table != 0].any():
        return "it moves values inside a frame, not along time"
    return np.where(table == 0, 0, (table - 1) // size + 1)


def _shift_from(sources: np.ndarray, is_moved: np.ndarray) -> Shift | str:
    """``sources`` is the source frame of each ``(frame, channel)``; ``is_moved`` marks the moved channels."""
    batch, channels = sources.shape
    column = sources[:, is_moved.argmax()]
    empty = int((column == ZERO).sum())
    frames = batch // empty if empty and batch % empty == 0 else batch
    offsets = np.zeros(channels, dtype=int)
    for channel in np.flatnonzero(is_moved):
        matches = [
            offset for offset in (1, -1) if (sources[:, channel] == _shifted(batch, frames, offset)).all()
        ]
        if not matches:
            return f"channel {channel} {_describe(sources[:, channel])}"
        offsets[channel] = matches[0]
    count = int(is_moved.sum())
    if not is_moved[:count].all():
        return f"the moved channels {_ranges(is_moved)} are not the first ones without a gap"
    if frames == 1:
        return Shift(1, count // 2, 1, -1) if count % 2 == 0 else Shift(1, count, 1, 0)
    first = int(offsets[0])
    fold = int(np.argmax(offsets != first)) if (offsets != first).any() else channels
    if fold == count:
        return Shift(frames, fold, first, 0)
    if (offsets[fold:count] != -first).any():
        return f"channels {_ranges(offsets == first)} move one way, between others that move the other way"
    if count != 2 * fold:
        return f"{fold} channels move one way and {count - fold} the other: a shift moves equal numbers"
    return Shift(frames, fold, first, -first)


def _shifted(batch: int, frames: int, offset: int) -> np.ndarray:
    source = np.arange(batch) + offset
    within = np.arange(batch) % frames + offset
    return np.where((within >= 0) & (within < frames), source, ZERO)


def _describe(column: np.ndarray) -> str:
    """How a channel is moved that is neither shifted by one frame nor unchanged."""
    filled = np.flatnonzero(column != ZERO)
    distances = np.unique(column[filled] - filled)
    if len(distances) == 1 and abs(distances[0]) > 1:
        return f"is moved by {abs(distances[0])} frames, not by one"
    if len(distances) == 1 and distances[0]:
        return "is moved by one frame, but its zeros are not at the ends of clips of one length"
    if len(distances) == 1:
        return f"is zero in frame {np.flatnonzero(column == ZERO)[0]}, and is not moved"
    if len(distances) == 2 and len(filled) == len(column) and 1 in abs(distances) and distances.prod() < 0:
        return "wraps around the clip: it takes frames from the other end where a shift has zeros"
    if len(distances) == 2 and len(filled) == len(column) and 1 in abs(distances) and not distances.all():
        return "repeats a frame at the end of the clip, where a shift has zeros"
    frame = filled[np.argmax(column[filled] != filled)]
    return f"takes frame {column[frame]} for frame {frame}, unlike a shift"


def _ranges(mask: np.ndarray) -> str:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(int), [0]))))
    return ", ".join(f"{start} to {end - 1}" for start, end in zip(edges[::2], edges[1::2]))
