"""Constants with an entry per frame of a clip, in a stream: equal entries, or a linear sequence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgevid.passes.build import Builder
from edgevid.passes.constant_values import is_all
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline

MIN_FRAMES = 3
"""The fewest frames that show whether a constant is a linear sequence."""


def of_frame(
    array: np.ndarray, timeline: Timeline, build: Builder, frames_before: Callable[[], ir.Value]
) -> ir.Value:
    """The current frame's entry of a constant whose entries are equal, linear, or inverses of linear ones."""
    shape, axis = array.shape, timeline.axis
    split = array.reshape(*shape[:axis], timeline.outer, timeline.length, timeline.inner, *shape[axis + 1 :])
    by_frame = np.moveaxis(split, axis + 1, 0)
    one_shape = timeline.one_frame(shape)
    if is_all(array, array.flat[0]) or (by_frame == by_frame[0]).all():
        return build.constant(np.ascontiguousarray(by_frame[0].reshape(one_shape)))
    for inverse in (False, True):
        start = _first_two(by_frame, inverse)
        if start is None or not np.issubdtype(array.dtype, np.floating):
            continue
        growth = start[1] - start[0]
        step, offset = (
            build.constant(numbers.reshape(one_shape).astype(array.dtype))
            for numbers in (growth, start[0] + timeline.lead * growth)
        )
        type_ = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        value = build.node("Mul", [step, frames_before()], one_shape, type_)
        value = build.node("Add", [value, offset], one_shape, type_)
        unit = build.constant(np.ones((), array.dtype))
        return build.node("Div", [unit, value], one_shape, type_) if inverse else value
    raise NotStreamableError(
        f"has another constant for each of the {timeline.length} frames of a clip (a position "
        "embedding?), and a stream has no end"
    )


def _first_two(by_frame: np.ndarray, inverse: bool) -> np.ndarray | None:
    """The first two entries if they, or their inverses, form a linear sequence; else None."""
    if len(by_frame) < MIN_FRAMES or (inverse and not by_frame.all()):
        return None
    numbers = by_frame.astype(np.float64)
    numbers = 1 / numbers if inverse else numbers
    steps = np.diff(numbers, axis=0)
    largest = np.abs(numbers).max()
    return numbers[:2] if np.abs(steps - steps[0]).max() <= 1e-6 * largest else None
