"""Optimize with placeholder convolutions, so that temporal ops that are not fused run in blocks too.

1. ``insert_placeholders``: a depthwise 1x1 convolution by ones replaces the op; a mark identifies it.
2. ONNX Runtime optimizes the network, and brings the placeholder into its blocked layout like any
   convolution.
3. ``replace_placeholders``: the placeholder becomes an ``edgevid.TemporalConv``, with what was fused into it:
   a factor (into the taps), a bias, an activation.

A shift that no convolution takes is a temporal convolution with taps of zeros and ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize.activation import clamp_of
from edgevid.onnxfile.graph import Model, Node

NCHWC = "com.microsoft.nchwc"
CONV, STEP = "edgevid.TemporalConv", "edgevid.TemporalConvStep"
SHIFT = "edgevid.TemporalShift"
FIRST_MARK = 1 << 20
"""A mark is a dilation, as in ``fuse_shift``."""
MAX_TAPS = 7
"""Longer filters run slowly in any layout."""


@dataclass
class Placeholder:
    """An op that a placeholder convolution replaces, the mark, and the op's filters ``(C, k)``."""

    op: Node
    mark: int
    taps: np.ndarray


class PlaceholderError(Exception):
    """A placeholder cannot become its op again; ``op`` is the op's name."""

    def __init__(self, op: str, reason: str) -> None:
        super().__init__(reason)
        self.op = op


def insert_placeholders(model: Model, folder: Path, placeholder_errors: dict[str, str]) -> list[Placeholder]:
    """Replace the ops in ``model``, whose weights are in ``folder``, except those in ``placeholder_errors``.

    An op that can have no placeholder is added there with the reason.
    """
    placeholders = []
    for mark, op in enumerate(list(model.nodes), FIRST_MARK):
        if op.kind not in (CONV, STEP, SHIFT) or op.name in placeholder_errors:
            continue
        result = _insert_placeholder(model, op, mark, folder)
        if isinstance(result, str):
            placeholder_errors[op.name] = result
        else:
            placeholders.append(result)
    return placeholders


def _insert_placeholder(model: Model, op: Node, mark: int, folder: Path) -> Placeholder | str:
    shape = model.shapes.get(op.inputs[0])
    if shape is None or len(shape) != 4:
        return "its input is not known to have four dimensions"
    taps = _one_hot(op, shape[1]) if op.kind == SHIFT else _filters(model, op, folder)
    if isinstance(taps, str):
        return taps
    bias = []
    if op.kind == STEP:
        state, next_state = op.inputs[1], op.outputs[1]
        if state not in model.inputs or len(model.readers(state)) != 1:
            return "its state is not an input of the network that nothing else reads"
        if next_state not in model.outputs or model.readers(next_state):
            return "its next state is not only an output of the network"
        del model.inputs[state], model.outputs[next_state]
        bias = op.inputs[3:]
    elif op.kind == CONV:
        bias = op.inputs[2:]
    channels = len(taps)
    ones = f"{op.outputs[0]}_ones"
    model.add_array(ones, np.ones((channels, 1, 1, 1), np.float32))
    attributes = {"group": channels, "kernel_shape": [1, 1], "dilations": [mark, mark]}
    conv = Node("Conv", "", op.name, [op.inputs[0], ones, *bias], op.outputs[:1], attributes)
    model.nodes[model.nodes.index(op)] = conv
    return Placeholder(op, mark, taps)


def replace_placeholders(
    model: Model, folder: Path, placeholders: list[Placeholder], block: int | None
) -> None:
    """Replace the placeholders in the optimized ``model``, whose weights are in ``folder``, by their ops.

    Raises ``PlaceholderError`` for the first that cannot be replaced; the model is then unusable.
    """
    by_mark = {}
    for node in model.nodes:
        dilations = node.attributes.get("dilations")
        if node.op_type in ("Conv", "FusedConv") and dilations:
            by_mark[dilations[0]] = node
    for item in placeholders:
        conv = by_mark.get(item.mark)
        if conv is None:
            raise PlaceholderError(item.op.name, "ONNX Runtime replaced its placeholder")
        _swap(model, conv, item, folder, block)


def _swap(model: Model, conv: Node, item: Placeholder, folder: Path, block: int | None) -> None:
    op = item.op
    is_blocked = conv.domain == NCHWC
    if is_blocked and block is None:
        raise PlaceholderError(op.name, "the block size of ONNX Runtime's layout is unknown")
    if conv.input(3):
        raise PlaceholderError(op.name, "ONNX Runtime fused a sum into its placeholder")
    if any(conv.attributes.get("pads") or ()):
        raise PlaceholderError(op.name, "ONNX Runtime fused padding into its placeholder")
    clamp = clamp_of(conv)
    if clamp is None:
        activation = conv.attributes["activation"]
        raise PlaceholderError(
            op.name, f"ONNX Runtime fused the activation {activation} into its placeholder"
        )
    factors = model.read_weight(conv.inputs[1], folder).reshape(-1, 1)
    # The last block is padded with zeros.
    padding = len(factors) - len(item.taps)
    if padding and op.kind == STEP:
        raise PlaceholderError(op.name, "its channels, and so its state, are not whole blocks")
    if is_blocked and not padding:
        is_blocked = not _leave_blocks(model, conv)
    if op.kind == SHIFT and not is_blocked:
        raise PlaceholderError(op.name, "its neighbors are not in blocks")
    low, high = clamp
    taps = f"{op.outputs[0]}_taps"
    model.add_array(taps, np.pad(item.taps, ((0, padding), (0, 0))) * factors)
    attributes = {"block": block if is_blocked else 1, "low": low, "high": high}
    operands = [taps, *(name for name in conv.inputs[2:3] if name)]
    if op.kind == STEP:
        inputs, outputs = [conv.inputs[0], op.inputs[1], *operands], [conv.outputs[0], op.outputs[1]]
        replacement = Node("TemporalConvStep", "edgevid", op.name, inputs, outputs, attributes)
    else:
        attributes |= {"frames": op.attributes["frames"], "causal": op.attributes.get("causal", 0)}
        inputs, outputs = [conv.inputs[0], *operands], conv.outputs
        replacement = Node("TemporalConv", "edgevid", op.name, inputs, outputs, attributes)
    model.nodes[model.nodes.index(conv)] = replacement
    if not model.readers(conv.inputs[1]):
        model.remove_weight(conv.inputs[1])
    model.require_domain("edgevid")


def _leave_blocks(model: Model, conv: Node) -> bool:
    """Drop the re-orderings around ``conv`` if both its neighbors are in plain layout; whether they were."""
    before = [node for node in model.nodes if conv.inputs[0] in node.outputs]
    after = model.readers(conv.outputs[0])
    reorders = [node.kind for node in (*before, *after)]
    if (
        len(reorders) != 2
        or reorders != [f"{NCHWC}.ReorderInput", f"{NCHWC}.ReorderOutput"]
        or any(node.attributes.get("channels_last", 0) for node in (*before, *after))
        or conv.outputs[0] in model.outputs
        or len(model.readers(conv.inputs[0])) != 1
    ):
        return False
    conv.inputs[0], conv.outputs[0] = before[0].inputs[0], after[0].outputs[0]
    for node in (*before, *after):
        model.nodes.remove(node)
    return True


def _filters(model: Model, op: Node, folder: Path) -> np.ndarray | str:
    name = op.inputs[2 if op.kind == STEP else 1]
    if name not in model.weights:
        return "its filters are not constant"
    if model.weights[name][1] > MAX_TAPS:
        return f"its filters have more than {MAX_TAPS} taps"
    return model.read_weight(name, folder)


def _one_hot(shift: Node, channels: int) -> np.ndarray:
    """The taps of frames t-1, t and t+1 that move the channels as ``shift`` does."""
    fold, first, second = (shift.attributes[name] for name in ("fold", "first", "second"))
    offsets = np.zeros(channels, int)
    offsets[:fold] = first
    offsets[fold : 2 * fold] = second
    return np.eye(3, dtype=np.float32)[offsets + 1]
