"""Fuse a stack of frames into the 1x1 convolutions that read it, so that the stack is never written.

1. ``bypass_stacks``: the 1x1 convolutions after an ``edgevid.FrameStack`` read its input, a single frame,
   with weights of ones; a mark identifies each.
2. ONNX Runtime optimizes that network, which has no stack.
3. ``swap_stacks``: a marked convolution becomes an ``edgevid.FrameStackConv`` with the weights of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize.activation import activation_of, refusal_of
from edgevid.backends.onnxruntime.specialize.fuse_shift import why_not_pointwise
from edgevid.backends.onnxruntime.specialize.placeholder import PlaceholderError
from edgevid.backends.onnxruntime.specialize.weights import WeightFile
from edgevid.backends.onnxruntime.specialize.winograd import NCHWC
from edgevid.onnxfile.graph import Model, Node

STACK = "edgevid.FrameStack"
FIRST_MARK = 1 << 24
"""A mark is a dilation, as in ``fuse_shift``."""
WEIGHTS = "stacks.weights"


@dataclass
class StackedConv:
    """A convolution that reads a stack: the stack, the mark, and the weights ``(O, k*C, 1, 1)``."""

    stack: Node
    mark: int
    weights: np.ndarray


def bypass_stacks(model: Model, folder: Path, placeholder_errors: dict[str, str]) -> list[StackedConv]:
    """Remove the stacks from ``model``, whose weights are in ``folder``.

    Those in ``placeholder_errors`` stay; a stack that must stay is added there with the reason.
    """
    convs: list[StackedConv] = []
    for stack in [node for node in model.nodes if node.kind == STACK and node.name not in placeholder_errors]:
        reason = _why_not(model, stack)
        if reason:
            placeholder_errors[stack.name] = reason
            continue
        channels = model.shapes[stack.inputs[0]][1]
        for reader in model.readers(stack.outputs[0]):
            weights, mark = reader.inputs[1], FIRST_MARK + len(convs)
            convs.append(StackedConv(stack, mark, model.read_weight(weights, folder)))
            one_frame = f"{weights}_of_one_frame_{mark}"
            model.add_array(one_frame, np.ones((model.weights[weights][0], channels, 1, 1), np.float32))
            reader.inputs[:2] = stack.inputs[0], one_frame
            reader.set_ints("dilations", [mark, mark])
        model.nodes.remove(stack)
    return convs


def swap_stacks(model: Model, folder: Path, convs: list[StackedConv], block: int | None) -> None:
    """Swap the temporal convolutions into the optimized ``model``, whose weights are in ``folder``.

    Raises ``PlaceholderError`` for the first stack that must stay; the model is then unusable.
    """
    file = WeightFile(folder / WEIGHTS)
    by_mark = {
        node.attributes["dilations"][0]: node for node in model.nodes if node.attributes.get("dilations")
    }
    for item in convs:
        conv = by_mark.get(item.mark)
        if conv is None:
            raise PlaceholderError(item.stack.name, "ONNX Runtime replaced the convolution")
        _swap(model, folder, conv, item, block, file)


def _why_not(model: Model, stack: Node) -> str:
    shape, readers = model.shapes.get(stack.inputs[0]), model.readers(stack.outputs[0])
    if shape is None or len(shape) != 4:
        return "its input is not known to have four dimensions"
    if stack.outputs[0] in model.outputs or not readers:
        return "its result leaves the network"
    if stack.attributes["stride"] != 1:
        return "it skips frames"
    reasons = (why_not_pointwise(model, reader, stack.outputs[0]) for reader in readers)
    return next((reason for reason in reasons if reason), "")


def _swap(
    model: Model, folder: Path, conv: Node, item: StackedConv, block: int | None, file: WeightFile
) -> None:
    from edgevid.kernels.shift_conv.reference import weights_to_blocks

    stack, taps = item.stack, item.stack.attributes["taps"]
    channels = item.weights.shape[1] // taps
    if conv.domain != NCHWC or block is None or channels % block:
        raise PlaceholderError(stack.name, "its convolution, or its channels, are not in blocks")
    activation = activation_of(conv)
    if activation is None:
        raise PlaceholderError(stack.name, refusal_of(conv))
    ones = model.read_weight(conv.inputs[1], folder)
    # Blocks of (inputs, outputs): the first row of each is the factor of an output that ONNX Runtime may have
    # fused. Outputs are padded to whole blocks.
    factors = ones.reshape(-1, channels // block, block, block)[:, 0, 0].ravel()
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
