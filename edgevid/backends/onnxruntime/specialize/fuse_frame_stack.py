"""Optimise without the stacks of frames, then swap: a convolution over time reads each frame where it is.

1. ``bypass_stack``: the 1x1 convolutions after an ``edgevid.FrameStack`` read its input, as if they saw one
   frame; ones stand for their weights, and a mark tells which convolution is which.
2. ONNX Runtime optimises that network, which has no stack.
3. ``swap_stacks``: a marked convolution becomes an ``edgevid.FrameStackConv`` with the weights of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize.activation import activation_of, refusal_of
from edgevid.backends.onnxruntime.specialize.fuse_shift import why_not_pointwise
from edgevid.backends.onnxruntime.specialize.placeholder import NoStandIn
from edgevid.backends.onnxruntime.specialize.weights import WeightFile
from edgevid.backends.onnxruntime.specialize.winograd import NCHWC
from edgevid.onnxfile.graph import Model, Node

STACK = "edgevid.FrameStack"
FIRST_MARK = 1 << 24
"""A mark is a dilation, as in ``fuse_shift``."""
WEIGHTS = "stacks.weights"


@dataclass
class Stacked:
    """A convolution that is to read a stack: which one, its mark, and its weights ``(O, k*C, 1, 1)``."""

    stack: Node
    mark: int
    weights: np.ndarray


def bypass_stacks(model: Model, folder: Path, alone: dict[str, str]) -> list[Stacked]:
    """Take the stacks out of ``model``, whose weights are in ``folder``, but for those that ``alone`` names.

    Those that must stay are added to it, with the reason in a sentence.
    """
    stacked: list[Stacked] = []
    for stack in [node for node in model.nodes if node.kind == STACK and node.name not in alone]:
        reason = _why_not(model, stack)
        if reason:
            alone[stack.name] = reason
            continue
        channels = model.shapes[stack.inputs[0]][1]
        for reader in model.readers(stack.outputs[0]):
            weights, mark = reader.inputs[1], FIRST_MARK + len(stacked)
            stacked.append(Stacked(stack, mark, model.read_weight(weights, folder)))
            one_frame = f"{weights}_of_one_frame_{mark}"
            model.add_array(one_frame, np.ones((model.weights[weights][0], channels, 1, 1), np.float32))
            reader.inputs[:2] = stack.inputs[0], one_frame
            reader.set_ints("dilations", [mark, mark])
        model.nodes.remove(stack)
    return stacked


def swap_stacks(model: Model, folder: Path, stacked: list[Stacked], block: int | None) -> None:
    """Give the optimised ``model``, whose weights are in ``folder``, the convolutions over time.

    Raises ``NoStandIn`` for the first stack that must stay; the model is then of no use.
    """
    file = WeightFile(folder / WEIGHTS)
    marked = {
        node.attributes["dilations"][0]: node for node in model.nodes if node.attributes.get("dilations")
    }
    for item in stacked:
        conv = marked.get(item.mark)
        if conv is None:
            raise NoStandIn(item.stack.name, "ONNX Runtime replaced the convolution by something else")
        _swap(model, folder, conv, item, block, file)


def _why_not(model: Model, stack: Node) -> str:
    shape, readers = model.shapes.get(stack.inputs[0]), model.readers(stack.outputs[0])
    if shape is None or len(shape) != 4:
        return "it is not known to run on images"
    if stack.outputs[0] in model.outputs or not readers:
        return "its result leaves the network"
    if stack.attributes["stride"] != 1:
        return "it skips frames"
    reasons = (why_not_pointwise(model, reader, stack.outputs[0]) for reader in readers)
    return next((reason for reason in reasons if reason), "")


def _swap(model: Model, folder: Path, conv: Node, item: Stacked, block: int | None, file: WeightFile) -> None:
    from edgevid.kernels.shift_conv.reference import weights_to_blocks

    stack, taps = item.stack, item.stack.attributes["taps"]
    channels = item.weights.shape[1] // taps
    if conv.domain != NCHWC or block is None or channels % block:
        raise NoStandIn(stack.name, "its convolution, or its channels, are not in blocks")
    activation = activation_of(conv)
    if activation is None:
        raise NoStandIn(stack.name, refusal_of(conv))
    stand_in = model.read_weight(conv.inputs[1], folder)
    # Blocks of (inputs, outputs): the first row of each is what ONNX Runtime may have multiplied an output
    # by. Outputs are padded to whole blocks.
    factors = stand_in.reshape(-1, channels // block, block, block)[:, 0, 0].ravel()
    padding = len(factors) - len(item.weights)
    weights = np.pad(item.weights, ((0, padding), (0, 0), (0, 0), (0, 0))) * factors[:, None, None, None]
    name = f"{conv.inputs[1]}_of_{taps}_frames"
    file.add(model, name, weights_to_blocks(weights, block))
    attributes = {"block": block, "taps": taps, **activation}
    attributes |= {key: stack.attributes[key] for key in ("frames", "first", "dilation")}
    inputs = [conv.inputs[0], *model.without_gap([name, *conv.inputs[2:]], len(weights))]
    index = model.nodes.index(conv)
    model.nodes[index] = Node("FrameStackConv", "edgevid", stack.name, inputs, conv.outputs, attributes)
    if not model.readers(conv.inputs[1]):
        model.remove_weight(conv.inputs[1])
    model.require_domain("edgevid")
