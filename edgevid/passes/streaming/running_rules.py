"""Operators whose state depends on all past frames: recurrent layers, cumulative sums and means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgevid.passes.constant_values import is_all
from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline

INITIAL = {"GRU": (5,), "RNN": (5,), "LSTM": (5, 6)}
"""The inputs of recurrent operators with their initial states; the last states are outputs 1 and 2."""

LAST = "returns its state after the last frame, which a stream does not have: use its output at each frame"


def recurrent(step: Step) -> None:
    node, timeline = step.node, step.timelines[0]
    if timeline is None or any(step.timelines[1:]):
        raise NotStreamableError("has an initial state, or weights, that depend on the frames")
    layout = node.attributes.get_int("layout", 0)
    direction = node.attributes.get_string("direction", "forward")
    if timeline.axis == (0 if layout else 1):
        _within_frames(step, timeline, layout)
        return
    if timeline.axis == 2:
        raise NotStreamableError("treats frames as channels")
    if direction != "forward":
        raise NotStreamableError(f"is {direction}: it reads the clip backwards too; use one direction")
    if len(node.inputs) > 4 and node.inputs[4] is not None:
        raise NotStreamableError("takes the lengths of sequences")
    step.require_start_at_frame_0()
    if timeline.outer != 1 or timeline.inner != 1:
        raise NotStreamableError("runs over an axis that counts frames and something else")
    for last in node.outputs[1:]:
        if last.uses() or last.is_graph_output():
            step.walk.refused[last] = LAST
    x, y = node.inputs[0], node.outputs[0]
    if not y.uses() and not y.is_graph_output():
        return
    batch, hidden = step.shape()[0 if layout else 1], node.attributes["hidden_size"].as_int()
    shape = (batch, 1, hidden) if layout else (1, batch, hidden)
    inputs = [*node.inputs, *[None] * 8][: 8 if node.op_type == "LSTM" else 6]
    states = [_state(step, x, shape, inputs[index]) for index in INITIAL[node.op_type]]
    for index, (_, first) in zip(INITIAL[node.op_type], states):
        inputs[index] = first
    while inputs[-1] is None:
        inputs.pop()
    y_shape = step.result_shape()
    attributes = {name: value for name, value in node.attributes.items() if name != "layout" or layout}
    step_node = ir.node(
        node.op_type,
        inputs,
        attributes=attributes,
        num_outputs=1 + len(states),
        name=f"{node.name}_step",
    )
    step_node.meta.update(node.meta)
    step.walk.graph.insert_before(node, step_node)
    for value in step_node.outputs:
        value.type = x.type
    axis = 1 if layout else 0
    step.walk.settle(step_node.outputs[0], replace(timeline, axis=axis), y_shape)
    for (state, _), after in zip(states, step_node.outputs[1:]):
        after.shape = state.shape
        step.walk.keep(state, after, step.build)
    name = y.name
    y.name, step_node.outputs[0].name = f"{name}_of_clip", name
    y.replace_all_uses_with(step_node.outputs[0], replace_graph_outputs=True)


def _within_frames(step: Step, timeline: Timeline, layout: int) -> None:
    """A recurrent layer over rows or pixels: the frames are its batch."""
    node, batch = step.node, timeline.axis
    for index in INITIAL[node.op_type]:
        if index < len(node.inputs) and node.inputs[index] is not None:
            step.fixed(index, timeline.at(batch), len(step.shape(index)))
    for number, value in enumerate(node.outputs):
        if value.uses() or value.is_graph_output():
            axis = batch if layout or number else batch + 1
            step.walk.settle(value, timeline.at(axis), step.walk.clip_shape(value))


def _state(step: Step, x: ir.Value, shape: tuple[int, ...], initial: ir.Value | None) -> tuple:
    state = step.walk.add_state(x, shape, step.node)
    if initial is None:
        return state, state
    array = step.walk.constants.of(initial)
    if array is not None and is_all(array, 0):
        return state, state
    return state, step.or_at_first(state, initial)


def cumulative_sum(step: Step) -> None:
    """A cumulative sum; if it is divided by the frame count, a running mean, whose state stays in range."""
    node, timeline = step.node, step.timelines[0]
    axis = step.ints(1)[0] % len(step.shape())
    if timeline is None or any(step.timelines[1:]):
        raise NotStreamableError("takes its axis from the frames")
    if axis != timeline.axis:
        step.keep_node(timeline)
        return
    if timeline.outer != 1 or timeline.inner != 1:
        raise NotStreamableError("runs over an axis that counts frames and something else")
    if node.attributes.get_int("reverse", 0):
        raise NotStreamableError("sums from the last frame backwards")
    step.require_start_at_frame_0()
    x = node.inputs[0]
    shape = x.shape.numpy()
    state = step.walk.add_state(x, shape, node)
    if (division := _division(step, timeline)) is not None:
        step.walk.means.add(division)
        unit = step.build.constant(np.ones(1, x.dtype.numpy()))
        count = step.node_of("Add", [step.walk.frames_before(x, node), unit], (1,))
        change = step.node_of("Sub", [x, state], shape)
        total = step.node_of("Add", [state, step.node_of("Div", [change, count], shape)], shape)
    else:
        total = step.node_of("Add", [state, x], shape)
    y = state if node.attributes.get_int("exclusive", 0) else total
    step.walk.keep(state, step.node_of("Identity", [total], shape), step.build)
    step.replace_node(step.node_of("Identity", [y], shape), replace(timeline, past=None))


def _division(step: Step, timeline) -> ir.Node | None:
    """The only reader, if it divides by 1, 2, 3, ... along the frames."""
    result = step.node.outputs[0]
    readers = [use.node for use in result.uses()]
    if len(readers) != 1 or result.is_graph_output() or step.node.attributes.get_int("exclusive", 0):
        return None
    reader, rank = readers[0], len(step.shape())
    if reader.op_type not in ("Div", "Mul") or reader.inputs[0] is not result:
        return None
    divisor = step.walk.constants.of(reader.inputs[1])
    if divisor is None or divisor.ndim > rank or divisor.size != timeline.length:
        return None
    places = [axis for axis, size in enumerate(divisor.shape) if size != 1]
    if places != [timeline.axis - (rank - divisor.ndim)]:
        return None
    counts = divisor.reshape(-1).astype(np.float64)
    counts = 1 / counts if reader.op_type == "Mul" else counts
    return reader if np.allclose(counts, np.arange(1, len(counts) + 1), rtol=1e-6) else None


RULES = {**dict.fromkeys(INITIAL, recurrent), "CumSum": cumulative_sum}
