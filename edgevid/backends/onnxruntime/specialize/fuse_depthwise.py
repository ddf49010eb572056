"""Fuse a 1x1 convolution, with or without a shift, and the depthwise 3x3 convolution that reads it.

A blocked ``Conv`` or ``ShiftConv`` and its ``Conv`` become an ``edgevid.ShiftConvDepthwise``. The values
between them, with six times the channels of a MobileNetV2 block's input, then never leave the cache.
"""

from __future__ import annotations

from edgevid.backends.onnxruntime.specialize.activation import activation_of, clamp_of
from edgevid.backends.onnxruntime.specialize.winograd import NCHWC
from edgevid.onnxfile.graph import Model, Node

POINTWISE = {
    "strides": [1, 1],
    "pads": [0, 0, 0, 0],
    "group": 1,
    "auto_pad": "NOTSET",
}
DEPTHWISE = {"dilations": [1, 1], "pads": [1, 1, 1, 1], "auto_pad": "NOTSET"}
NO_SHIFT = {"frames": 1, "fold": 0, "first": 1, "second": -1}


def swap_depthwise(model: Model, block: int | None) -> int:
    """Fuse in the optimized ``model``; returns the number of fused pairs."""
    if block is None:
        return 0
    candidates = [node for node in model.nodes if _is_pointwise(model, node, block)]
    pairs = [(first, second) for first in candidates if (second := _depthwise_after(model, first))]
    for first, second in pairs:
        model.nodes[model.nodes.index(second)] = _fused(first, second, block)
        model.nodes.remove(first)
    if pairs:
        model.require_domain("edgevid")
    return len(pairs)


def _is_pointwise(model: Model, node: Node, block: int) -> bool:
    """Whether ``node`` is a blocked 1x1 convolution with a bias and without a residual sum."""
    if node.kind in ("edgevid.ShiftConv", "edgevid.ShiftConvStep"):
        first = 2 if node.op_type == "ShiftConvStep" else 1
        return node.attributes["block"] == block and bool(node.input(first + 1)) and not node.input(first + 2)
    if node.kind != f"{NCHWC}.Conv" or not _has_attributes(node, POINTWISE):
        return False
    weights = model.weights.get(node.inputs[1])
    fits = weights is not None and weights[2:] == (1, 1) and weights[0] % block == weights[1] % block == 0
    return fits and bool(node.input(2)) and not node.input(3)


def _depthwise_after(model: Model, first: Node) -> Node | None:
    """The only reader of ``first``, if it is a depthwise 3x3 convolution that can be fused."""
    value = first.outputs[0]
    readers = model.readers(value)
    if len(readers) != 1 or value in model.outputs:
        return None
    node = readers[0]
    weights = model.weights.get(node.inputs[1]) if node.kind == f"{NCHWC}.Conv" else None
    strides = node.attributes.get("strides", [1, 1])
    fits = (
        weights is not None
        and weights[1:] == (1, 3, 3)
        and node.attributes.get("group") == weights[0]
        and _has_attributes(node, DEPTHWISE)
        and clamp_of(node) is not None
        and strides in ([1, 1], [2, 2])
        and bool(node.input(2))
        and not node.input(3)
        and not (first.op_type == "ShiftConvStep" and strides == [2, 2])
    )
    return node if fits else None


def _has_attributes(node: Node, required: dict) -> bool:
    if activation_of(node) is None:
        return False
    return all(node.attributes.get(name, value) == value for name, value in required.items())


def _fused(first: Node, second: Node, block: int) -> Node:
    if first.domain == "edgevid":
        attributes = dict(first.attributes)
    else:
        attributes = {"block": block, **NO_SHIFT, **activation_of(first)}
    attributes["depthwise_low"], attributes["depthwise_high"] = clamp_of(second)
    op_type = "ShiftConvDepthwise"
    if second.attributes.get("strides") == [2, 2]:
        op_type += "Stride2"
    elif first.op_type == "ShiftConvStep":
        op_type += "Step"
    outputs = [second.outputs[0], *first.outputs[1:]]
    name = first.name if first.domain == "edgevid" else second.name
    return Node(op_type, "edgevid", name, [*first.inputs, *second.inputs[1:3]], outputs, attributes)
