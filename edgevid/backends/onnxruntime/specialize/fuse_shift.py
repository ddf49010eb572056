"""Fuse a temporal shift into the 1x1 convolutions that read it.

1. ``bypass``: the shift is removed; its convolutions read the shift's input and are marked.
2. ONNX Runtime optimizes the network, now without shifts, for this processor.
3. ``swap``: a marked convolution, which may now be blocked and have a residual sum and an activation fused
   into it, becomes an ``edgevid.ShiftConv``.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgevid.backends.onnxruntime.specialize.activation import activation_of, refusal_of
from edgevid.onnxfile.graph import Model, Node

NCHWC = "com.microsoft.nchwc"
SHIFT, STEP = "edgevid.TemporalShift", "edgevid.TemporalShiftStep"
FIRST_MARK = 4096
"""A mark is a dilation. A 1x1 kernel ignores it, and unlike a name it survives every fusion."""


@dataclass
class BypassedShift:
    """A removed shift, and the marks of the convolutions that take it."""

    shift: Node
    marks: list[int]


class FusionError(Exception):
    """A convolution cannot take its shift; ``shift`` is the shift's name."""

    def __init__(self, shift: str, reason: str) -> None:
        super().__init__(reason)
        self.shift = shift


def shifts_of(model: Model) -> list[Node]:
    return [node for node in model.nodes if node.kind in (SHIFT, STEP)]


def bypass(model: Model, shift: Node, first_mark: int) -> BypassedShift | str:
    """Remove ``shift`` from ``model``, or leave it and return the reason."""
    readers = model.readers(shift.outputs[0])
    if shift.outputs[0] in model.outputs or not readers:
        return "its result leaves the network"
    for reader in readers:
        if reason := why_not_pointwise(model, reader, shift.outputs[0]):
            return reason
    if shift.kind == STEP:
        state, next_state = shift.inputs[1], shift.outputs[1]
        if len(readers) != 1:
            return "more than one convolution reads it, and only one can hold its state"
        if state not in model.inputs or len(model.readers(state)) != 1:
            return "its state is not an input of the network that nothing else reads"
        if next_state not in model.outputs or model.readers(next_state):
            return "its next state is not only an output of the network"
        del model.inputs[state], model.outputs[next_state]
    for mark, reader in enumerate(readers, first_mark):
        reader.inputs[0] = shift.inputs[0]
        reader.set_ints("dilations", [mark, mark])
    model.nodes.remove(shift)
    return BypassedShift(shift, list(range(first_mark, first_mark + len(readers))))


def swap(model: Model, shifts: list[BypassedShift], block: int | None, original: Model) -> None:
    """Fuse the shifts into their convolutions in the optimized ``model``; a fused node has its shift's name.

    ``block`` is the number of channels in a block of this processor's layout (None: no blocked layout).
    Raises ``FusionError`` for the first convolution that cannot take its shift; the model is then unusable.
    """
    by_mark = {}
    for index, node in enumerate(model.nodes):
        dilations = node.attributes.get("dilations")
        if node.op_type in ("Conv", "FusedConv") and dilations and dilations[0] >= FIRST_MARK:
            by_mark[dilations[0]] = index
    for item in shifts:
        for mark in item.marks:
            if mark not in by_mark:
                raise FusionError(item.shift.name, "ONNX Runtime replaced the convolution")
            index = by_mark[mark]
            model.nodes[index] = _shift_conv(model, model.nodes[index], item.shift, block)
    model.inputs = {name: model.inputs.get(name, value) for name, value in original.inputs.items()}
    model.outputs = {name: model.outputs.get(name, value) for name, value in original.outputs.items()}
    model.require_domain("edgevid")


def why_not_pointwise(model: Model, node: Node, value: str) -> str:
    """Why a reader of ``value`` is not a 1x1 convolution of it with stride 1; empty if it is."""
    name = node.op_type
    if node.kind != "Conv":
        return f"its result goes to a {name}, not to a convolution"
    kernel = model.weights.get(node.inputs[1])
    if kernel is None or len(kernel) != 4 or node.inputs.count(value) != 1 or node.inputs[0] != value:
        return "it goes to a convolution whose weights are not constant or not two-dimensional"
    if kernel[2:] != (1, 1):
        return f"it goes to a {kernel[2]}x{kernel[3]} convolution, and only 1x1 ones take a shift"
    if node.attributes.get("group", 1) != 1:
        return "it goes to a convolution with groups"
    if any(size != 1 for size in node.attributes.get("strides") or ()):
        return "it goes to a convolution with strides"
    if any(node.attributes.get("pads") or ()):
        return "it goes to a convolution with padding"
    return ""


def _shift_conv(model: Model, conv: Node, shift: Node, block: int | None) -> Node:
    is_blocked = conv.domain == NCHWC
    if is_blocked and block is None:
        raise FusionError(shift.name, "the block size of ONNX Runtime's layout is unknown")
    if is_blocked and model.weights[conv.inputs[1]][1] < block:
        raise FusionError(shift.name, "its convolution reads fewer channels than a block has")
    attributes = {"block": block if is_blocked else 1, "fold": shift.attributes["fold"]}
    activation = activation_of(conv)
    if activation is None:
        raise FusionError(shift.name, refusal_of(conv))
    attributes |= activation
    x, operands = conv.inputs[0], [conv.input(index) for index in (1, 2, 3)]
    operands = model.without_gap(operands, model.weights[operands[0]][0])
    if shift.kind == STEP:
        op_type, inputs = "ShiftConvStep", [x, shift.inputs[1], *operands]
        outputs = [conv.outputs[0], shift.outputs[1]]
    else:
        op_type, inputs, outputs = "ShiftConv", [x, *operands], conv.outputs
        attributes |= {name: shift.attributes[name] for name in ("frames", "first", "second")}
    while not inputs[-1]:
        inputs.pop()
    return Node(op_type, "edgevid", shift.name, inputs, outputs, attributes)
