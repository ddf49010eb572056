"""Data-movement operators: they act on each frame, and padding or cropping in time shifts the timeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import FIRST, NotStreamableError, Timeline


def reshape(step: Step) -> None:
    """Also Flatten, Squeeze and Unsqueeze."""
    x, old_shape, new_shape = step.node.inputs[0], step.shape(), step.result_shape()
    timeline = step.only.reshaped(old_shape, new_shape)
    timeline = replace(timeline, past=_movement_past(step, timeline.one_frame(new_shape)))
    shape = timeline.one_frame(new_shape)
    step.replace_node(step.node_of("Reshape", [x, step.build.ints(shape)], shape), timeline)


def _movement_past(step: Step, shape: tuple[int, ...]) -> np.ndarray | str | None:
    past = step.only.past
    if not isinstance(past, np.ndarray):
        return past
    return np.broadcast_to(past, step.only.one_frame(step.shape())).reshape(shape)


def transpose(step: Step) -> None:
    timeline = step.only
    rank = len(step.shape())
    perm = step.ints(9, "perm") or tuple(reversed(range(rank)))
    result = replace(timeline, axis=perm.index(timeline.axis))
    frame_shape = timeline.one_frame(step.shape())
    axes = [axis for axis in perm if frame_shape[axis] != 1]
    if axes != sorted(axes):
        step.keep_node(result)
        return
    shape = result.one_frame(step.result_shape())
    result = replace(result, past=_movement_past(step, shape))
    step.replace_node(step.node_of("Reshape", [step.node.inputs[0], step.build.ints(shape)], shape), result)


def expand(step: Step) -> None:
    timeline, shape = step.only, step.result_shape()
    timeline = timeline.at(timeline.axis + len(shape) - len(step.shape()))
    step.node.replace_input_with(1, step.build.ints(timeline.one_frame(shape)))
    step.keep_node(timeline)


def tile(step: Step) -> None:
    timeline = step.only
    if step.ints(1)[timeline.axis] != 1:
        raise NotStreamableError("repeats the frames of a clip")
    step.keep_node(timeline)


def pad(step: Step) -> None:
    timeline, rank = step.only, len(step.shape())
    axes = tuple(axis % rank for axis in step.ints(3) or range(rank))
    pads, mode = step.ints(1), step.node.attributes.get_string("mode", "constant")
    if timeline.axis not in axes:
        step.keep_node(timeline)
        return
    place = axes.index(timeline.axis)
    before, after = pads[place], pads[place + len(axes)]
    if before or after:
        if timeline.outer != 1 or timeline.inner != 1:
            raise NotStreamableError("pads an axis that counts frames and something else")
        if mode not in ("constant", "edge"):
            raise NotStreamableError(f"pads the clip by mode '{mode}', which reads later frames")
    past = FIRST if mode == "edge" else _fill(step)
    if isinstance(past, str) and timeline.lead > 0:
        past = timeline.past
    x, padded = step.padded(step.node.inputs[0], timeline, before, after, past)
    rest = [0 if number % len(axes) == place else size for number, size in enumerate(pads)]
    if not any(rest):
        step.replace_node(step.node_of("Identity", [x], x.shape.numpy()), padded)
        return
    step.node.replace_input_with(0, x)
    step.node.replace_input_with(1, step.build.ints(rest))
    if isinstance(padded.past, np.ndarray) and padded.past.size > 1:
        padded = replace(padded, past=None)
    step.keep_node(padded, past_is_known=True)


def _fill(step: Step) -> np.ndarray:
    value = step.node.inputs[2] if len(step.node.inputs) > 2 else None
    if value is None:
        return np.zeros((), step.node.inputs[0].dtype.numpy())
    array = step.walk.constants.of(value)
    if array is None:
        raise NotStreamableError("pads with a computed value")
    return array.reshape(())


def concat(step: Step) -> None:
    reference = next(timeline for timeline in step.timelines if timeline is not None)
    axis = step.node.attributes["axis"].as_int() % len(step.result_shape())
    if reference.axis != axis:
        step.align()
        return
    main = max(range(len(step.timelines)), key=lambda index: _length(step.timelines[index]))
    timeline, past = step.timelines[main], None
    if timeline.outer != 1 or timeline.inner != 1:
        raise NotStreamableError("joins clips one after the other")
    before = sum(step.shape(index)[axis] for index in range(main))
    for index in range(main):
        piece = _piece(step, index, main)
        past = piece if past is None or _same_past(past, piece) else NotImplemented
    if past is NotImplemented:
        raise NotStreamableError("puts different values before the first frame")
    after = 0
    for index in range(main + 1, len(step.timelines)):
        if step.timelines[index] is not None:
            raise NotStreamableError("joins frames in another order")
        after += step.shape(index)[axis]
    x = step.node.inputs[main]
    if isinstance(past, str) and timeline.lead != 0:
        raise NotStreamableError("repeats a frame that is not the first")
    x, joined = step.padded(x, timeline, before, after, past)
    step.replace_node(step.node_of("Identity", [x], x.shape.numpy()), joined)


def _length(timeline: Timeline | None) -> int:
    return 0 if timeline is None else timeline.length


def _piece(step: Step, index: int, main: int) -> np.ndarray | str:
    """The content of a part before the frames: one entry, equal for all its frames, or the first frame."""
    value, timeline = step.node.inputs[index], step.timelines[index]
    axis = step.node.attributes["axis"].as_int() % len(step.result_shape())
    if timeline is not None:
        if timeline.length == 1 and timeline.lead == 0 and _source(value) is _source(step.node.inputs[main]):
            return FIRST
        raise NotStreamableError("joins frames in another order")
    array = step.walk.constants.of(value)
    if array is None:
        raise NotStreamableError("puts a computed value before the first frame")
    first = array.take([0], axis=axis)
    if (array != first).any():
        raise NotStreamableError("puts different values before the first frame")
    return first


def _source(value):
    """The value before slices in time, which are Identity nodes by now."""
    while (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    return value


def _same_past(first, second) -> bool:
    if isinstance(first, str) or isinstance(second, str):
        return isinstance(first, str) and isinstance(second, str)
    return first is not NotImplemented and bool((first == second).all())


def resize(step: Step) -> None:
    timeline = step.only
    if step.shape()[timeline.axis] != step.result_shape()[timeline.axis]:
        raise NotStreamableError("changes the number of frames")
    if timeline.outer * timeline.inner != 1 and timeline.axis != 0:
        raise NotStreamableError("resizes an axis that counts frames and something else")
    if len(step.node.inputs) > 3 and step.node.inputs[3] is not None and "axes" not in step.node.attributes:
        step.node.replace_input_with(3, step.build.ints(timeline.one_frame(step.ints(3))))
    step.keep_node(timeline)


RULES = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Transpose": transpose,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "Concat": concat,
    "Resize": resize,
}
