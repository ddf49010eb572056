"""Temporal ops: each is replaced by its streaming step."""

from __future__ import annotations

import onnx_ir as ir

from edgevid import ops
from edgevid.passes.streaming.frame_rules import batchwise
from edgevid.passes.streaming.step import Step
from edgevid.passes.streaming.timeline import NotStreamableError


def looks_ahead(node: ir.Node) -> str:
    """Why a temporal op cannot be streamed; empty if it can, and for other nodes."""
    if node.domain != ops.DOMAIN or node.op_type not in ops.OPS:
        return ""
    step = _streaming_step(node, tuple(node.inputs[0].shape.numpy()))
    return step if isinstance(step, str) else ""


def temporal_op(step: Step) -> None:
    node, walk, timeline = step.node, step.walk, step.timelines[0]
    if "frames" not in node.attributes:
        batchwise(step)
        return
    frames = node.attributes["frames"].as_int()
    whole = timeline is not None and timeline.axis == 0 and timeline.length == frames and timeline.inner == 1
    if not whole or timeline.outer != 1 or any(t not in (None, timeline) for t in step.timelines):
        raise NotStreamableError("does not run along the frames of the clip")
    step.require_start_at_frame_0()
    spec = _streaming_step(node, (1, *step.shape()[1:]))
    if spec is None:
        node.attributes.add(ir.AttrInt64("frames", 1))
        step.keep_node(timeline)
        return
    x, result = node.inputs[0], node.outputs[0]
    state = walk.add_state(x, spec.state_shape, node)
    step_node = ir.node(
        spec.op_type,
        [x, state, *node.inputs[1:]],
        attributes=spec.attributes,
        domain=ops.DOMAIN,
        num_outputs=2,
        name=node.name,
    )
    step_node.meta.update(node.meta)
    walk.graph.insert_before(node, step_node)
    y, after = step_node.outputs
    y.type, after.shape, after.type = result.type, state.shape, state.type
    walk.keep(state, after, step.build)
    step.replace_node(y, timeline)


def _streaming_step(node: ir.Node, shape: tuple[int, ...]) -> ops.StreamingStep | str | None:
    return ops.op_of(node.op_type).streaming_step_of(node, shape)
