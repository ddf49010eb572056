"""RunningMean(x) -> a product with the matrix whose row t averages the first t frames, in standard operators.

Frames are few, so the matrix is small, and every runtime has matrix products; not all have running sums.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.ops import running_mean
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.lower_temporal_shift import concat, slice_of
from edgevid.specs import PassReport


def lower_running_mean(graph: ir.Model) -> PassReport:
    """Replace each running mean, and each streaming step of one."""
    rewrites = {"RunningMean": _lower_mean, "RunningMeanStep": _lower_step}
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        attach_functions(graph)
    return PassReport("lower_running_mean", matched)


def _lower_mean(node: ir.Node, build: Builder) -> None:
    x, frames = node.inputs[0], running_mean.from_node(node).frames
    shape = tuple(x.shape.numpy())
    by_frame = (shape[0] // frames, frames, prod(shape[1:]))
    averages = np.tril(np.ones((frames, frames))) / np.arange(1, frames + 1)[:, None]
    matrix = build.constant(averages.astype(x.dtype.numpy()))
    clips = build.node("Reshape", [x, build.ints(by_frame)], by_frame, x.type)
    means = build.node("MatMul", [matrix, clips], by_frame, x.type)
    build.replace_anchor(build.node("Reshape", [means, build.ints(shape)], shape, x.type))


def _lower_step(node: ir.Node, build: Builder) -> None:
    x, state = node.inputs
    shape, channels, type_ = tuple(x.shape.numpy()), x.shape[1], x.type
    before, count = slice_of(state, 1, 0, channels, build), slice_of(state, 1, channels, channels + 1, build)
    one = build.constant(np.ones(1, x.dtype.numpy()))
    count_now = build.node("Add", [count, one], (shape[0], 1, *shape[2:]), type_)
    news = build.node("Sub", [x, before], shape, type_)
    y = build.node("Add", [before, build.node("Div", [news, count_now], shape, type_)], shape, type_)
    build.replace_anchor(y, concat([y, count_now], 1, build))
