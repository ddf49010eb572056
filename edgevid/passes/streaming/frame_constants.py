"""What a clip's graph holds for each of its frames, as a stream has it: the same for all, or counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.constant_values import is_all
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline

ENOUGH = 3
"""So many frames tell whether a constant counts frames."""


def of_frame(
    array: np.ndarray, timeline: Timeline, build: Builder, frames_before: Callable[[], ir.Value]
) -> ir.Value:
    """The entry for the frame at hand of a constant with one for each frame, where a rule gives them all."""
    shape, axis = array.shape, timeline.axis
    split = array.reshape(*shape[:axis], timeline.outer, timeline.length, timeline.inner, *shape[axis + 1 :])
    by_frame = np.moveaxis(split, axis + 1, 0)
    one_shape = timeline.one_frame(shape)
    if is_all(array, array.flat[0]) or (by_frame == by_frame[0]).all():
        return build.constant(np.ascontiguousarray(by_frame[0].reshape(one_shape)))
    for inverse in (False, True):
        start = _counted(by_frame, inverse)
        if start is None or not np.issubdtype(array.dtype, np.floating):
            continue
        growth = start[1] - start[0]
        step, offset = (
            build.constant(numbers.reshape(one_shape).astype(array.dtype))
            for numbers in (growth, start[0] + timeline.lead * growth)
        )
        type_ = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        counted = build.node("Mul", [step, frames_before()], one_shape, type_)
        counted = build.node("Add", [counted, offset], one_shape, type_)
        one = build.constant(np.ones((), array.dtype))
        return build.node("Div", [one, counted], one_shape, type_) if inverse else counted
    raise NotStreamableError(
        f"has another constant for each of the {timeline.length} frames of a clip (an embedding of "
        "positions?), and a stream goes on"
    )


def _counted(by_frame: np.ndarray, inverse: bool) -> np.ndarray | None:
    """The first two of what grows by the same from frame to frame, or whose inverse does."""
    if len(by_frame) < ENOUGH or (inverse and not by_frame.all()):
        return None
    numbers = by_frame.astype(np.float64)
    numbers = 1 / numbers if inverse else numbers
    steps = np.diff(numbers, axis=0)
    largest = np.abs(numbers).max()
    return numbers[:2] if np.abs(steps - steps[0]).max() <= 1e-6 * largest else None
