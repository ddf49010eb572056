"""FrameStack(x) -> Reshape(Gather(Concat(x, zeros), frames)), in standard operators.

The batch axis is time, so a gather along it puts the frames that each tap sees behind each other, for any
number of clips, and the reshape that makes channels of them moves nothing; the zeros beyond a clip are one
more frame at the end.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.ops import frame_stack
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.lower_temporal_shift import concat, slice_of
from edgevid.specs import PassReport


def lower_frame_stack(graph: ir.Model) -> PassReport:
    """Replace each stack of frames, and each streaming step of one, by copies of static shape."""
    rewrites = {"FrameStack": _lower_stack, "FrameStackStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        attach_functions(graph)
    return PassReport("lower_frame_stack", matched)


def _lower_stack(node: ir.Node, build: Builder) -> None:
    x, stack = node.inputs[0], frame_stack.from_node(node)
    shape, beyond = tuple(x.shape.numpy()), x.shape[0]
    clips = range(0, beyond, stack.frames)
    sources = [
        [beyond if frame is None else clip + frame for frame in row]
        for clip in clips
        for row in stack.sources()
    ]
    if any(beyond in row for row in sources):
        x = concat([x, build.zeros((1, *shape[1:]), x.dtype.numpy())], 0, build)
    seen_shape = (len(sources), stack.taps, *shape[1:])
    seen = build.node("Gather", [x, build.constant(np.array(sources, np.int64))], seen_shape, x.type, axis=0)
    stacked = stack.shape_out(shape)
    build.replace_anchor(build.node("Reshape", [seen, build.ints(stacked)], stacked, x.type))


def _lower_step(node: ir.Node, build: Builder) -> None:
    (x, state), stack = node.inputs, frame_stack.from_node(node)
    channels, seen = x.shape[1], concat([state, x], 1, build)
    starts = [tap * stack.dilation * channels for tap in range(stack.taps)]
    everything = stack.dilation == 1 and starts[-1] == state.shape[1]
    parts = [slice_of(seen, 1, start, start + channels, build) for start in starts] if not everything else []
    y = concat(parts, 1, build) if parts else seen
    build.replace_anchor(y, slice_of(seen, 1, channels, seen.shape[1], build))
