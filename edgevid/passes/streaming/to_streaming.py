"""Clip network -> frame network with states: op(x) -> op_step(x, state), next_state.

The graph takes a clip ``(1, T, C, H, W)`` and has an output per frame: logits ``(1, T, classes)``, or rows
``(T, ...)``. The time axis of each value is tracked from the clip on (``streaming.timeline``). Operators that
read one frame at a time stay, for one frame; those that read past frames keep them in a state, an input and
an output of the graph. Operators that read future frames, or the whole clip, are refused. The clip becomes a
frame ``(1, C, H, W)``, the outputs those of this frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from edgevid import ops
from edgevid.errors import ExportError
from edgevid.ops.functions import attach_functions
from edgevid.passes.layer_names import describe
from edgevid.passes.streaming import choice_rules, frame_rules, layout_rules, running_rules, window_rules
from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.temporal_rules import looks_ahead, temporal_op
from edgevid.passes.streaming.timeline import NotStreamableError, Timeline
from edgevid.passes.streaming.walk import Walk
from edgevid.specs import PassReport, StateSpec

FRAME = "frame"

RULES: dict[str, Callable[[Step], None]] = {
    **frame_rules.RULES,
    **layout_rules.RULES,
    **choice_rules.RULES,
    **window_rules.RULES,
    **running_rules.RULES,
}
"""Conversion rules by operator; an operator without a rule is refused."""

WITH_BODIES = ("If", "Loop", "Scan")


def to_streaming(graph: ir.Model) -> tuple[PassReport, tuple[StateSpec, ...]]:
    """Rewrite ``graph`` in place; the report counts states, which are also returned.

    ``ExportError`` names the first layer that cannot run frame by frame; the graph is then useless.
    """
    _refuse_lookahead(graph)
    if any(value.shape is None for node in graph.graph for value in node.outputs):
        common.ShapeInferencePass()(graph)
    walk, inner = Walk(graph.graph), graph.graph
    clip = inner.inputs[0]
    frames = clip.shape[1]
    _clip_to_frame(walk, clip)
    for node in list(inner):
        _visit(walk, node)
    _outputs_to_rows(walk, frames)
    inner.outputs.extend(walk.next_states[state] for state in inner.inputs[1:])
    for tidy in (common.IdentityEliminationPass(), common.RemoveUnusedNodesPass()):
        tidy(graph)
    attach_functions(graph)
    return PassReport("to_streaming", len(walk.states)), tuple(walk.states)


def _refuse_lookahead(graph: ir.Model) -> None:
    obstacles = [f"{node.name}: {reason}" for node in graph.graph if (reason := looks_ahead(node))]
    if obstacles:
        raise ExportError(
            f"the network looks into the future, so it cannot be streamed: "
            f"{len(obstacles)} of its temporal ops read later frames (the first is {obstacles[0]})"
        )


def _visit(walk: Walk, node: ir.Node) -> None:
    if node.graph is None or not _reads_frames(walk, node):
        return
    try:
        for value in node.inputs:
            if value in walk.refused:
                raise NotStreamableError(walk.refused[value])
        if node.domain == ops.DOMAIN:
            temporal_op(Step(walk, node))
        elif node.domain == "" and node.op_type in RULES:
            RULES[node.op_type](Step(walk, node))
        else:
            raise NotStreamableError("is an operator that edgevid cannot run frame by frame")
    except NotStreamableError as error:
        culprit = node
        if any(value in walk.refused for value in node.inputs):
            culprit = next(value.producer() for value in node.inputs if value in walk.refused)
        raise ExportError(f"the network cannot be streamed: its layer {describe(culprit)} {error}") from None


def _reads_frames(walk: Walk, node: ir.Node) -> bool:
    if node.op_type in WITH_BODIES:
        return True
    return any(value in walk.timelines or value in walk.refused for value in node.inputs)


def _clip_to_frame(walk: Walk, clip: ir.Value) -> None:
    shape = tuple(clip.shape.numpy())
    if shape[0] != 1:
        raise ExportError(f"a stream needs a graph of one clip, not {shape[0]}: trace the network with one")
    frame = ir.Value(name=FRAME, shape=ir.Shape((1, *shape[2:])), type=clip.type)
    one_shape = ir.tensor(np.array((1, 1, *shape[2:]), dtype=np.int64), name="clip_shape")
    constant = ir.Value(name="clip_shape", const_value=one_shape)
    constant.shape, constant.type = one_shape.shape, ir.TensorType(ir.DataType.INT64)
    walk.graph.register_initializer(constant)
    reshape = ir.node("Reshape", [frame, constant], name="frame_as_clip")
    as_clip = reshape.outputs[0]
    as_clip.name, as_clip.type = "frame_as_clip", clip.type
    clip.replace_all_uses_with(as_clip, replace_graph_outputs=True)
    walk.graph.insert_before(next(iter(walk.graph)), reshape)
    walk.graph.inputs[0] = frame
    walk.settle(as_clip, Timeline(1, shape[1]), shape)


def _outputs_to_rows(walk: Walk, frames: int) -> None:
    """Reduce each output to the current frame: logits ``(1, classes)``, a row ``(1, ...)``."""
    for index, value in enumerate(walk.graph.outputs):
        timeline = walk.timelines.get(value)
        if value in walk.refused or timeline is None:
            raise ExportError(
                f"the network cannot be streamed: its output '{value.name}' is not computed per frame"
            )
        if timeline.lead < 0:
            _refuse_future(walk)
        is_row = timeline.outer == timeline.inner == 1 and timeline.axis in (0, 1)
        if not is_row or timeline.length != frames or (timeline.axis == 1 and value.shape[0] != 1):
            raise ExportError(
                f"the network cannot be streamed: its output '{value.name}' is {walk.clip_shape(value)} "
                f"and not (1, {frames}, classes): return a row for each frame"
            )
        _as_output(walk, index, value, timeline)


def _refuse_future(walk: Walk) -> None:
    node, ahead = walk.looks_ahead[0]
    later = "the next frame" if ahead == 1 else f"the next {ahead} frames"
    raise ExportError(
        f"the network looks into the future, so it cannot be streamed: its layer {describe(node)} reads "
        f"{later}; pad the clip only in front, by the full reach of the layer"
    )


def _as_output(walk: Walk, index: int, value: ir.Value, timeline: Timeline) -> None:
    from edgevid.passes.build import Builder

    shape = tuple(value.shape.numpy())[timeline.axis :]
    name, build = value.name, Builder(walk.graph, None, f"{value.name}/row")
    value.name = f"{name}_of_clip"
    node = ir.node("Reshape", [value, build.ints(shape)], name=f"{name}_row")
    result = node.outputs[0]
    result.name, result.shape, result.type = name, ir.Shape(shape), value.type
    walk.graph.append(node)
    walk.graph.outputs[index] = result
