"""act(Conv1x1(TemporalShift(x))) -> ShiftConv(x), for the TensorRT plugin of that name.

The node has the convolution's weights ``(O, C, 1, 1)`` and bias; its attribute ``kernel`` is the index of the
layer among the network's distinct layers, for each of which the plugin has a compiled kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevid import ops
from edgevid.passes.build import Builder
from edgevid.specs import PassReport

NODE = "ShiftConv"
GROUP = 8
"""Channels per group in TensorRT's HWC8 layout, which pads other channel counts."""


@dataclass(frozen=True)
class FusedLayer:
    """The parameters of a kernel: equal layers share one. ``rows`` counts the pixels of all frames."""

    channels: int
    outputs: int
    frames: int
    fold: int
    first: int
    second: int
    low: float | None
    high: float | None
    rows: int


def fuse_shift_convs(graph: ir.Model) -> tuple[list[FusedLayer], PassReport]:
    """Rewrite a half-precision ``graph`` with plugin nodes in place; returns the distinct layers, in order.

    Refuses convolutions without a bias and channel counts that are not multiples of 8.
    """
    layers: list[FusedLayer] = []
    refused = []
    matched = 0
    for shift in [node for node in graph.graph if node.op_type == "TemporalShift"]:
        reason = _refusal(shift)
        if reason:
            refused.append(f"{shift.name}: {reason}")
            continue
        layer, last = _layer_of(shift)
        if layer not in layers:
            layers.append(layer)
        _replace(shift, last, layers.index(layer))
        matched += 1
    return layers, PassReport("fuse_shift_convs", matched, tuple(refused))


def unfused(graph: ir.Model, layers: list[FusedLayer]) -> ir.Model:
    """A copy of ``graph`` with each fused node split into shift, convolution and activation again."""
    copy = graph.clone()
    for node in [node for node in copy.graph if node.op_type == NODE]:
        layer, (x, *filters), y = layers[node.attributes["kernel"].as_int()], node.inputs, node.outputs[0]
        build = Builder(copy.graph, node, f"{node.name}_apart")
        shift = {name: getattr(layer, name) for name in ("frames", "fold", "first", "second")}
        shifted = build.node("TemporalShift", [x], x.shape, x.type, ops.DOMAIN, **shift)
        result = build.node("Conv", [shifted, *filters], y.shape, y.type)
        if layer.high is not None:
            bounds = [build.constant(np.float16(bound)) for bound in (layer.low, layer.high)]
            result = build.node("Clip", [result, *bounds], y.shape, y.type)
        elif layer.low is not None:
            result = build.node("Relu", [result], y.shape, y.type)
        build.replace_anchor(result)
    return copy


def _refusal(shift: ir.Node) -> str:
    """Why a shift cannot go into the convolution after it; empty if it can."""
    conv = _only_reader(shift)
    if conv is None or conv.op_type != "Conv" or conv.domain:
        return "its only reader is not a convolution"
    weights = conv.inputs[1]
    if tuple(weights.shape[2:]) != (1, 1) or conv.attributes["strides"].as_ints() != (1, 1):
        return "the convolution after it is not 1x1 of stride 1"
    if len(conv.inputs) < 3 or conv.inputs[2] is None or conv.attributes["group"].as_int() != 1:
        return "the convolution after it has groups, or no bias"
    outputs, channels = weights.shape[:2]
    if outputs % GROUP or channels % GROUP:
        return f"{channels} to {outputs} channels are not multiples of {GROUP}"
    return ""


def _layer_of(shift: ir.Node) -> tuple[FusedLayer, ir.Node]:
    """The fused layer that starts at ``shift``, and its last node."""
    conv = _only_reader(shift)
    low = high = None
    last = conv
    after = _only_reader(conv)
    if after is not None and after.op_type == "Relu":
        low, last = 0.0, after
    elif after is not None and after.op_type == "Clip" and _constants(after) == (0.0, 6.0):
        low, high, last = 0.0, 6.0, after
    images, channels, height, width = shift.inputs[0].shape
    numbers = {name: shift.attributes[name].as_int() for name in ("frames", "fold", "first", "second")}
    rows = images * height * width
    outputs = conv.inputs[1].shape[0]
    return FusedLayer(channels, outputs, **numbers, low=low, high=high, rows=rows), last


def _constants(clip: ir.Node) -> tuple[float, ...] | None:
    values = [value.const_value for value in clip.inputs[1:] if value is not None]
    return tuple(float(value.numpy()) for value in values) if len(values) == 2 and all(values) else None


def _only_reader(node: ir.Node) -> ir.Node | None:
    uses = node.outputs[0].uses()
    return uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None


def _replace(shift: ir.Node, last: ir.Node, kernel: int) -> None:
    conv = _only_reader(shift)
    plugin_attributes = {name: shift.attributes[name] for name in ("plugin_version", "plugin_namespace")}
    fused = ir.Node(
        ops.DOMAIN,
        NODE,
        [shift.inputs[0], *conv.inputs[1:3]],
        [ir.AttrInt64("kernel", kernel), *plugin_attributes.values()],
        num_outputs=1,
        name=f"{shift.name}_fused",
    )
    old, new = last.outputs[0], fused.outputs[0]
    new.type, new.shape = old.type, old.shape
    graph = last.graph
    graph.insert_after(last, fused)
    name, old.name = old.name, f"{old.name}_replaced"
    new.name = name
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(dict.fromkeys([last, conv, shift]), safe=True)
