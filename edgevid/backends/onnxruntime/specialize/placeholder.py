"""Optimise with a stand-in, then swap: a temporal op that stays a pass of its own runs in blocks too.

1. ``put_stand_ins``: a depthwise 1x1 convolution by ones takes the op's place; a mark says which op it is.
2. ONNX Runtime optimises that, and carries the convolution into its blocked layout as it does any other.
3. ``swap_stand_ins``: the convolution becomes an ``edgevid.TemporalConv``. What was fused into it by then
   goes along: a factor into the taps, a bias, an activation.

A shift that no convolution takes is a temporal convolution too, by taps of zeros and ones.
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
MOST_TAPS = 7
"""Longer filters run slowly in any layout."""


@dataclass
class StandIn:
    """An op whose place a convolution takes, its mark, and its filters ``(C, k)``."""

    op: Node
    mark: int
    taps: np.ndarray


class NoStandIn(Exception):
    """A stand-in that cannot become its op again; ``op`` is the op's name."""

    def __init__(self, op: str, reason: str) -> None:
        super().__init__(reason)
        self.op = op


def put_stand_ins(model: Model, folder: Path, alone: dict[str, str]) -> list[StandIn]:
    """Replace the ops in ``model``, whose weights are in ``folder``, but for those that ``alone`` names.

    Those that can have none are added to it, with the reason in a sentence.
    """
    stand_ins = []
    for mark, op in enumerate(list(model.nodes), FIRST_MARK):
        if op.kind not in (CONV, STEP, SHIFT) or op.name in alone:
            continue
        result = _put_stand_in(model, op, mark, folder)
        if isinstance(result, str):
            alone[op.name] = result
        else:
            stand_ins.append(result)
    return stand_ins


def _put_stand_in(model: Model, op: Node, mark: int, folder: Path) -> StandIn | str:
    shape = model.shapes.get(op.inputs[0])
    if shape is None or len(shape) != 4:
        return "it is not known to run on images"
    taps = _one_hot(op, shape[1]) if op.kind == SHIFT else _filters(model, op, folder)
    if isinstance(taps, str):
        return taps
    others = []
    if op.kind == STEP:
        state, next_state = op.inputs[1], op.outputs[1]
        if state not in model.inputs or len(model.readers(state)) != 1:
            return "its state is not an input of the network that nothing else reads"
        if next_state not in model.outputs or model.readers(next_state):
            return "its next state is not just an output of the network"
        del model.inputs[state], model.outputs[next_state]
        others = op.inputs[3:]
    elif op.kind == CONV:
        others = op.inputs[2:]
    channels = len(taps)
    ones = f"{op.outputs[0]}_ones"
    model.add_array(ones, np.ones((channels, 1, 1, 1), np.float32))
    attributes = {"group": channels, "kernel_shape": [1, 1], "dilations": [mark, mark]}
    conv = Node("Conv", "", op.name, [op.inputs[0], ones, *others], op.outputs[:1], attributes)
    model.nodes[model.nodes.index(op)] = conv
    return StandIn(op, mark, taps)


def swap_stand_ins(model: Model, folder: Path, stand_ins: list[StandIn], block: int | None) -> None:
    """Bring the ops back in the optimised ``model``, whose weights are in ``folder``.

    Raises ``NoStandIn`` for the first that cannot come back; the model is then of no use.
    """
    marked = {}
    for node in model.nodes:
        dilations = node.attributes.get("dilations")
        if node.op_type in ("Conv", "FusedConv") and dilations:
            marked[dilations[0]] = node
    for item in stand_ins:
        conv = marked.get(item.mark)
        if conv is None:
            raise NoStandIn(item.op.name, "ONNX Runtime replaced its stand-in by something else")
        _swap(model, conv, item, folder, block)


def _swap(model: Model, conv: Node, item: StandIn, folder: Path, block: int | None) -> None:
    op = item.op
    blocked = conv.domain == NCHWC
    if blocked and block is None:
        raise NoStandIn(op.name, "the block of ONNX Runtime's layout is not known")
    if conv.input(3):
        raise NoStandIn(op.name, "ONNX Runtime put a sum into its stand-in")
    if any(conv.attributes.get("pads") or ()):
        raise NoStandIn(op.name, "ONNX Runtime put padding into its stand-in")
    clamp = clamp_of(conv)
    if clamp is None:
        activation = conv.attributes["activation"]
        raise NoStandIn(op.name, f"ONNX Runtime put the activation {activation} into its stand-in")
    factors = model.read_weight(conv.inputs[1], folder).reshape(-1, 1)
    # Blocks are whole: zeros follow the last channel.
    padding = len(factors) - len(item.taps)
    if padding and op.kind == STEP:
        raise NoStandIn(op.name, "its channels, which its state has too, are not whole blocks")
    if blocked and not padding:
        blocked = not _leave_blocks(model, conv)
    if op.kind == SHIFT and not blocked:
        raise NoStandIn(op.name, "nothing around it is in blocks")
    low, high = clamp
    taps = f"{op.outputs[0]}_taps"
    model.add_array(taps, np.pad(item.taps, ((0, padding), (0, 0))) * factors)
    attributes = {"block": block if blocked else 1, "low": low, "high": high}
    others = [taps, *(name for name in conv.inputs[2:3] if name)]
    if op.kind == STEP:
        inputs, outputs = [conv.inputs[0], op.inputs[1], *others], [conv.outputs[0], op.outputs[1]]
        new = Node("TemporalConvStep", "edgevid", op.name, inputs, outputs, attributes)
    else:
        attributes |= {"frames": op.attributes["frames"], "causal": op.attributes.get("causal", 0)}
        inputs, outputs = [conv.inputs[0], *others], conv.outputs
        new = Node("TemporalConv", "edgevid", op.name, inputs, outputs, attributes)
    model.nodes[model.nodes.index(conv)] = new
    if not model.readers(conv.inputs[1]):
        model.remove_weight(conv.inputs[1])
    model.require_domain("edgevid")


def _leave_blocks(model: Model, conv: Node) -> bool:
    """Whether both sides of ``conv`` are plain; the re-orderings that brought it into blocks then go."""
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
        return "its filters are computed"
    if model.weights[name][1] > MOST_TAPS:
        return f"its filters have more than {MOST_TAPS} taps"
    return model.read_weight(name, folder)


def _one_hot(shift: Node, channels: int) -> np.ndarray:
    """The taps of frames t-1, t and t+1 that move the channels as ``shift`` does."""
    fold, first, second = (shift.attributes[name] for name in ("fold", "first", "second"))
    offsets = np.zeros(channels, int)
    offsets[:fold] = first
    offsets[fold : 2 * fold] = second
    return np.eye(3, dtype=np.float32)[offsets + 1]
