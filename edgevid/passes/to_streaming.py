"""Clip network on one frame -> frame network with state: op(x) -> op_step(x, state), next_state.

The graph must have been traced with clips of one frame. Each temporal op is replaced by its streaming step,
whose state becomes an input and an output of the graph; the clip ``(N, 1, 3, H, W)`` becomes a frame
``(N, 3, H, W)``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.errors import ExportError
from edgevid.ops.functions import attach_functions
from edgevid.specs import PassReport, StateSpec

FRAME = "frame"


def states_of(graph: ir.Model) -> tuple[StateSpec, ...]:
    """The states that ``to_streaming`` will add, in order; ``ExportError`` if an op looks into the future."""
    states, obstacles = [], []
    for node in _temporal_nodes(graph):
        step = _step(node)
        if isinstance(step, str):
            obstacles.append(f"{node.name}: {step}")
            continue
        index = len(states)
        states.append(
            StateSpec(
                f"state_{index}", f"next_state_{index}", step.state_shape, _dtype(node), op=node.name or ""
            )
        )
    if obstacles:
        raise ExportError(
            f"the network looks into the future, so it cannot be streamed: "
            f"{len(obstacles)} of its temporal ops read later frames (the first is {obstacles[0]})"
        )
    return tuple(states)


def to_streaming(graph: ir.Model) -> PassReport:
    """Rewrite ``graph`` in place; ``states_of`` must have been asked before."""
    states = states_of(graph)
    nodes = _temporal_nodes(graph)
    for node, state in zip(nodes, states):
        _replace_by_step(graph.graph, node, state)
    _take_a_frame(graph.graph)
    attach_functions(graph)
    return PassReport("to_streaming", len(nodes))


def _temporal_nodes(graph: ir.Model) -> list[ir.Node]:
    """The nodes that see other frames than their own, be it the past or the future."""
    return [
        node
        for node in graph.graph
        if node.domain == ops.DOMAIN and node.op_type in ops.MODULES and _step(node) is not None
    ]


def _step(node: ir.Node) -> ops.StreamingStep | str | None:
    op = ops.module_of(node.op_type)
    return op.streaming_step(op.from_node(node), tuple(node.inputs[0].shape.numpy()))


def _dtype(node: ir.Node) -> str:
    return str(node.inputs[0].dtype.numpy())


def _replace_by_step(graph: ir.Graph, node: ir.Node, state: StateSpec) -> None:
    step, result = _step(node), node.outputs[0]
    state_in = ir.Value(name=state.input, shape=ir.Shape(state.shape), type=result.type)
    graph.inputs.append(state_in)
    replacement = ir.node(
        step.op_type,
        [node.inputs[0], state_in, *node.inputs[1:]],
        attributes=step.attributes,
        domain=ops.DOMAIN,
        num_outputs=2,
        name=node.name,
    )
    y, state_out = replacement.outputs
    y.name, y.shape, y.type = result.name, result.shape, result.type
    state_out.name, state_out.shape, state_out.type = state.output, state_in.shape, state_in.type
    ir.convenience.replace_nodes_and_values(graph, node, [node], [replacement], [result], [y])
    graph.outputs.append(state_out)


def _take_a_frame(graph: ir.Graph) -> None:
    clip = graph.inputs[0]
    shape = tuple(clip.shape.numpy())
    frame = ir.Value(name=FRAME, shape=ir.Shape((shape[0], *shape[2:])), type=clip.type)
    clip_shape = ir.Value(
        name="clip_shape", const_value=ir.tensor(np.array(shape, dtype=np.int64), name="clip_shape")
    )
    clip_shape.shape, clip_shape.type = ir.Shape((len(shape),)), ir.TensorType(ir.DataType.INT64)
    graph.register_initializer(clip_shape)
    reshape = ir.node("Reshape", [frame, clip_shape], name="frame_as_clip")
    as_clip = reshape.outputs[0]
    as_clip.name, as_clip.shape, as_clip.type = "frame_as_clip", clip.shape, clip.type
    clip.replace_all_uses_with(as_clip)
    graph.insert_before(next(iter(graph)), reshape)
    graph.inputs[0] = frame
