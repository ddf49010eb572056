"""TemporalDifference(later, earlier) -> Concat(later[1:] - earlier[:-1], zeros), in standard operators.

For one clip the batch axis is time, so everything stays 4-D: two slices and a frame of zeros, behind the
differences if they look ahead and before them if they are causal. Several clips are gathered along the batch
axis, and what belongs to another clip is cut off.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.ops import temporal_difference
from edgevid.ops.functions import attach_functions
from edgevid.passes.build import Builder
from edgevid.passes.lower_temporal_shift import PADDED, SLICES, concat, moved, slice_of
from edgevid.specs import PassReport

FORMS = (SLICES, PADDED)
"""How the differences of one clip get their frame of zeros."""


def lower_temporal_difference(graph: ir.Model, form: str = SLICES) -> PassReport:
    """Replace each temporal difference, and each streaming step of one, by subtractions of slices."""
    rewrites = {
        "TemporalDifference": partial(_lower_difference, form=form),
        "TemporalDifferenceStep": _lower_step,
    }
    matched = 0
    for node in graph.graph:
        if node.domain == ops.DOMAIN and node.op_type in rewrites:
            rewrites[node.op_type](node, Builder(graph.graph, node, node.name))
            matched += 1
    if matched:
        attach_functions(graph)
    return PassReport("lower_temporal_difference", matched)


def _lower_difference(node: ir.Node, build: Builder, form: str) -> None:
    (later, earlier), difference = node.inputs, temporal_difference.from_node(node)
    shape, frames = tuple(later.shape.numpy()), difference.frames
    if frames == 1:
        zeros = build.zeros(shape, later.dtype.numpy())
        build.replace_anchor(build.node("Identity", [zeros], shape, later.type))
        return
    if shape[0] == frames:
        later, earlier = slice_of(later, 0, 1, frames, build), slice_of(earlier, 0, 0, frames - 1, build)
        differences = build.node("Sub", [later, earlier], (frames - 1, *shape[1:]), later.type)
        if form == PADDED:
            pads = [0] * 2 * len(shape)
            pads[0 if difference.causal else len(shape)] = 1
            build.replace_anchor(build.node("Pad", [differences, build.ints(pads)], shape, later.type))
            return
        zeros = build.zeros((1, *shape[1:]), later.dtype.numpy())
        parts = [zeros, differences] if difference.causal else [differences, zeros]
        build.replace_anchor(concat(parts, 0, build))
        return
    if difference.causal:
        earlier = moved(earlier, -1, frames, build)
    else:
        later = moved(later, 1, frames, build)
    differences = build.node("Sub", [later, earlier], shape, later.type)
    build.replace_anchor(
        build.node("Mul", [differences, _compared(shape, difference, later, build)], shape, later.type)
    )


def _compared(
    shape: tuple[int, ...], difference: temporal_difference.Difference, like: ir.Value, build: Builder
) -> ir.Value:
    """One for each frame that is compared with another of its clip, zero for the first or last."""
    alone = 0 if difference.causal else difference.frames - 1
    compared = np.arange(shape[0]) % difference.frames != alone
    return build.constant(compared.reshape(-1, *[1] * (len(shape) - 1)).astype(like.dtype.numpy()))


def _lower_step(node: ir.Node, build: Builder) -> None:
    later, state, earlier = node.inputs
    shape, type_ = tuple(later.shape.numpy()), later.type
    channels, seen_shape = shape[1], (shape[0], 1, *shape[2:])
    before, seen = slice_of(state, 1, 0, channels, build), slice_of(state, 1, channels, channels + 1, build)
    difference = build.node("Sub", [later, before], shape, type_)
    y = build.node("Mul", [difference, seen], shape, type_)
    white = build.constant(np.ones(seen_shape, later.dtype.numpy()))
    build.replace_anchor(y, concat([earlier, white], 1, build))
