"""Operators that select or assign frames: those that keep their order shift the timeline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline

LOOP = " (a loop over frames? A stream keeps the state of nn.GRU, nn.LSTM, nn.RNN and cumsum)"


def slice_(step: Step) -> None:
    timeline, shape = step.only, step.shape()
    starts, ends, axes = step.ints(1), step.ints(2), step.ints(3)
    axes = tuple(axis % len(shape) for axis in (axes or range(len(starts))))
    steps = step.ints(4) or (1,) * len(starts)
    if timeline.axis not in axes:
        step.keep_node(timeline)
        return
    place = axes.index(timeline.axis)
    selection = range(shape[timeline.axis])[slice(starts[place], ends[place], steps[place])]
    if steps[place] != 1:
        raise NotStreamableError(_sampled(steps[place]))
    whole = len(selection) == shape[timeline.axis]
    cropped = timeline if whole else _cropped(step, timeline, selection)
    others = [number for number in range(len(axes)) if number != place]
    if not others:
        step.replace_node(_same(step), cropped)
        return
    for index, numbers in ((1, starts), (2, ends), (3, axes), (4, steps)):
        if index < len(step.node.inputs) or index == 3:
            values = step.build.ints([numbers[number] for number in others])
            if index < len(step.node.inputs):
                step.node.replace_input_with(index, values)
            else:
                step.node.resize_inputs(index + 1)
                step.node.replace_input_with(index, values)
    step.keep_node(replace(cropped, past=step.past() if cropped.lead > 0 else None), past_is_known=True)


def _sampled(every: int) -> str:
    if every < 0:
        return "reads the frames backwards"
    return (
        f"takes only every {every}th frame"
        if every > 3
        else f"takes only every {('2nd', '3rd')[every - 2]} frame"
    )


def _cropped(step: Step, timeline: Timeline, selection: range) -> Timeline:
    if timeline.outer != 1 or timeline.inner != 1:
        raise NotStreamableError("slices an axis that counts frames and something else")
    return timeline.padded(-selection.start, selection.stop - timeline.length, None)


def _same(step: Step) -> ir.Value:
    x = step.node.inputs[0]
    return step.node_of("Identity", [x], x.shape.numpy())


def gather(step: Step) -> None:
    data, indices = step.timelines[:2]
    axis = step.node.attributes.get_int("axis", 0) % len(step.shape())
    rank = len(step.shape(1))
    if data is None:  # a lookup table, indexed by the frames
        step.keep_node(indices.at(indices.axis + axis))
        return
    if indices is not None:
        raise NotStreamableError("takes positions from the frames")
    if data.axis != axis:
        step.keep_node(data.at(data.axis + (rank - 1 if data.axis > axis else 0)))
        return
    positions = step.ints(1)
    last, first = [number % step.shape()[axis] for number in (positions[-1], positions[0])]
    if list(positions) == list(range(first, last + 1)) and rank == 1:
        step.replace_node(_same(step), _cropped(step, data, range(first, last + 1)))
        return
    if rank == 2 and _windows(step, data, axis):
        return
    if len(positions) == 1:
        raise NotStreamableError(f"takes only frame {first} of the clip{LOOP}")
    raise NotStreamableError("takes the frames in another order, or only some of them")


def _windows(step: Step, timeline: Timeline, axis: int) -> bool:
    """Whether it gathers a window around each frame, as ``unfold`` does; a state then holds the window."""
    indices = step.walk.constants.of(step.node.inputs[1])
    offsets = indices[0] - indices[0].min()
    steps = np.arange(len(indices))[:, None]
    if (indices - indices[0].min() != steps + offsets).any() or indices[0].min() != 0:
        return False
    x, reach = step.node.inputs[0], int(offsets.max())
    window = step.ring(x, timeline, reach, zeros_before=False) if reach else x
    shape = list(step.result_shape())
    shape[axis] = 1
    columns = step.build.constant(offsets[None].astype(np.int64))
    result = replace(timeline, length=len(indices), lead=timeline.lead - reach, past=None)
    step.replace_node(step.node_of("Gather", [window, columns], shape, axis=axis), result)
    return True


def scatter(step: Step) -> None:
    """Assignment of consecutive frames, ``y[:, 1:] = x[:, :-1]``."""
    data, indices, updates = step.node.inputs
    positions = step.walk.constants.of(indices)
    timeline, shape = step.timelines[2], step.shape()
    if positions is not None and _within_frames(step, positions):
        step.keep_node(timeline)
        return
    is_streamable = timeline is not None and positions is not None and step.timelines[1] is None
    if (
        not is_streamable
        or timeline.axis != 0
        or timeline.outer * timeline.inner != 1
        or positions.shape[1:] != (1,)
    ):
        raise NotStreamableError("assigns values to frames in a way that edgevid cannot run frame by frame")
    start = int(positions[0, 0])
    if list(positions[:, 0]) != list(range(start, start + len(positions))):
        raise NotStreamableError("assigns the frames in another order, or only some of them")
    after = shape[0] - start - len(positions)
    if step.timelines[0] is None:
        array = step.walk.constants.of(data)
        if array is None or (array != array[:1]).any():
            raise NotStreamableError("assigns frames among values that differ from frame to frame")
        x, joined = step.padded(updates, timeline, start, after, np.ascontiguousarray(array[:1]))
        step.replace_node(step.build.node("Identity", [x], x.shape.numpy(), updates.type), joined)
        return
    if after:
        raise NotStreamableError("assigns only some of the frames")
    step.timelines[2] = update_timeline = timeline.padded(start, 0, np.zeros((), updates.dtype.numpy()))
    lead = min(step.timelines[0].lead, update_timeline.lead)
    base, update = (step.delayed(index, step.timelines[index].lead - lead) for index in (0, 2))
    step.replace_node(
        step.from_frame(start - lead, base, update), replace(update_timeline, lead=lead, past=None)
    )


def elements(step: Step) -> None:
    """GatherElements and ScatterElements, whose positions are the same for each frame."""
    timeline = step.timelines[0]
    axis = step.node.attributes.get_int("axis", 0) % len(step.shape())
    if timeline is None or step.timelines[1] is not None or axis == timeline.axis:
        raise NotStreamableError("takes or assigns only some of the frames")
    step.align()


def _within_frames(step: Step, positions: np.ndarray) -> bool:
    """Whether it assigns the same positions in each frame."""
    data, _, updates = step.timelines
    rows = positions.ndim - 1
    inside = data is not None and updates is not None and positions.shape[-1] <= data.axis
    return inside and updates == data.at(data.axis - positions.shape[-1] + rows)


def split(step: Step) -> None:
    timeline, axis = step.only, step.node.attributes.get_int("axis", 0) % len(step.shape())
    if axis == timeline.axis:
        raise NotStreamableError(f"splits the clip into single frames, or groups of them{LOOP}")
    step.keep_node(timeline)


RULES = {
    "Slice": slice_,
    "Gather": gather,
    "Split": split,
    "ScatterND": scatter,
    **dict.fromkeys(("GatherElements", "ScatterElements"), elements),
}
