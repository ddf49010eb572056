"""Replace dense 3x3 convolutions by Winograd's algorithm, with fewer multiplications, where that is faster.

A blocked ``Conv`` of ONNX Runtime becomes an ``edgevid.WinogradConv`` with transformed filters, in every
network, with temporal ops or without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from edgevid.backends.onnxruntime.specialize.activation import activation_of
from edgevid.backends.onnxruntime.specialize.weights import WeightFile
from edgevid.onnxfile.graph import Model, Node

NCHWC = "com.microsoft.nchwc"
WEIGHTS = "winograd.weights"

TILE = 4
PER_PIXEL = 15.0
"""Cost of a direct convolution per pixel and pair of channels: 9 MACs at 60 % of the peak. The unit of all
costs is the time of a MAC at the peak; they were measured on a Zen 4."""
PER_TILE = 42.0
"""Cost of the 36 MACs of a tile, per pair of channels."""
PER_FILTER = 3600.0
"""Cost of reading the 36 values of a transformed filter from memory, once."""
PER_CHANNEL = 2500.0
"""Cost of transforming a channel of a tile."""

Shapes = Callable[[Model, Collection[str]], dict[str, tuple[int, ...]]]


def swap_winograd(model: Model, folder: Path, block: int | None, shapes_of: Shapes) -> int:
    """Swap in the optimized ``model``, whose weights are in ``folder``; returns the number of convolutions.

    ``shapes_of(model, names)`` gives the shapes of values. The transformed filters go to a file of their own.
    """
    if block is None:
        return 0
    candidates = [node for node in model.nodes if _is_candidate(model, node, block)]
    shapes = shapes_of(model, {node.inputs[0] for node in candidates}) if candidates else {}
    convs = [node for node in candidates if pays(shapes[node.inputs[0]], model.weights[node.inputs[1]])]
    if not convs:
        return 0
    transforms: dict[str, str] = {}
    file = WeightFile(folder / WEIGHTS)
    for node in convs:
        name = node.inputs[1]
        if name not in transforms:
            transforms[name] = f"{name}_winograd"
            file.add(model, transforms[name], _transformed(model.read_weight(name, folder), block))
        model.nodes[model.nodes.index(node)] = _winograd_conv(model, node, transforms[name], block)
    for name in transforms:
        if not model.readers(name):
            model.remove_weight(name)
    model.require_domain("edgevid")
    return len(convs)


def pays(x_shape: tuple[int, ...], weights_shape: tuple[int, ...]) -> bool:
    """Whether the saved multiplications outweigh the transforms and filters that are four times as large."""
    images, _, height, width = x_shape
    outputs, inputs = weights_shape[:2]
    tiles = images * math.ceil(height / TILE) * math.ceil(width / TILE)
    direct = PER_PIXEL * images * height * width * inputs * outputs
    multiplications = (PER_TILE * tiles + PER_FILTER) * inputs * outputs
    return multiplications + PER_CHANNEL * tiles * (inputs + outputs) < direct


def _is_candidate(model: Model, node: Node, block: int) -> bool:
    if node.domain != NCHWC or node.op_type != "Conv":
        return False
    weights = model.weights.get(node.inputs[1])
    required = {
        "strides": [1, 1],
        "dilations": [1, 1],
        "pads": [1, 1, 1, 1],
        "group": 1,
        "auto_pad": "NOTSET",
    }
    return (
        weights is not None
        and weights[2:] == (3, 3)
        and weights[0] % block == weights[1] % block == 0
        and all(node.attributes.get(name, value) == value for name, value in required.items())
        and activation_of(node) is not None
    )


def _transformed(weights: np.ndarray, block: int) -> np.ndarray:
    from edgevid.kernels.winograd.reference import filters_from_blocks, filters_to_points, points_to_blocks

    return points_to_blocks(filters_to_points(filters_from_blocks(weights, block)), block)


def _winograd_conv(model: Model, conv: Node, weights: str, block: int) -> Node:
    operands = model.without_gap([weights, *conv.inputs[2:]], model.weights[weights][1])
    inputs = [conv.inputs[0], *operands]
    attributes = {"block": block, **activation_of(conv)}
    return Node("WinogradConv", "edgevid", conv.name, inputs, conv.outputs, attributes)
