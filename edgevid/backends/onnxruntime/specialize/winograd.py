"""Give 3x3 convolutions to the kernel that computes them with fewer products, where that is faster.

A blocked ``Conv`` of ONNX Runtime becomes an ``edgevid.WinogradConv``, and its filters their transforms. That
concerns every network with dense 3x3 convolutions, with temporal ops or without.
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
"""The time of a direct convolution for a pixel and a pair of channels: 9 products at 60 % of the peak. Times
are in products at the peak; all figures were measured on a Zen 4."""
PER_TILE = 42.0
"""The time of the 36 products of a tile."""
PER_FILTER = 3600.0
"""That of reading the 36 numbers of a transformed filter from memory, once."""
PER_CHANNEL = 2500.0
"""That of transforming a channel of a tile."""

Shapes = Callable[[Model, Collection[str]], dict[str, tuple[int, ...]]]


def swap_winograd(model: Model, folder: Path, block: int | None, shapes_of: Shapes) -> int:
    """Swap in the optimised ``model``, whose weights are in ``folder``; returns how many convolutions.

    ``shapes_of(model, names)`` gives the shapes of values. The new filters go to a file of their own.
    """
    if block is None:
        return 0
    able = [node for node in model.nodes if _is_able(model, node, block)]
    shapes = shapes_of(model, {node.inputs[0] for node in able}) if able else {}
    chosen = [node for node in able if pays(shapes[node.inputs[0]], model.weights[node.inputs[1]])]
    if not chosen:
        return 0
    made: dict[str, str] = {}
    file = WeightFile(folder / WEIGHTS)
    for node in chosen:
        name = node.inputs[1]
        if name not in made:
            made[name] = f"{name}_winograd"
            file.add(model, made[name], _transformed(model.read_weight(name, folder), block))
        model.nodes[model.nodes.index(node)] = _winograd_conv(model, node, made[name], block)
    for name in made:
        if not model.readers(name):
            model.remove_weight(name)
    model.require_domain("edgevid")
    return len(chosen)


def pays(x_shape: tuple[int, ...], weights_shape: tuple[int, ...]) -> bool:
    """Whether fewer products make up for the transforms and for filters four times as large."""
    images, _, height, width = x_shape
    outputs, inputs = weights_shape[:2]
    tiles = images * math.ceil(height / TILE) * math.ceil(width / TILE)
    direct = PER_PIXEL * images * height * width * inputs * outputs
    products = (PER_TILE * tiles + PER_FILTER) * inputs * outputs
    return products + PER_CHANNEL * tiles * (inputs + outputs) < direct


def _is_able(model: Model, node: Node, block: int) -> bool:
    if node.domain != NCHWC or node.op_type != "Conv":
        return False
    weights = model.weights.get(node.inputs[1])
    wanted = {"strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1, "auto_pad": "NOTSET"}
    return (
        weights is not None
        and weights[2:] == (3, 3)
        and weights[0] % block == weights[1] % block == 0
        and all(node.attributes.get(name, value) == value for name, value in wanted.items())
        and activation_of(node) is not None
    )


def _transformed(weights: np.ndarray, block: int) -> np.ndarray:
    from edgevid.kernels.winograd.reference import filters_from_blocks, filters_to_points, points_to_blocks

    return points_to_blocks(filters_to_points(filters_from_blocks(weights, block)), block)


def _winograd_conv(model: Model, conv: Node, weights: str, block: int) -> Node:
    others = model.without_gap([weights, *conv.inputs[2:]], model.weights[weights][1])
    inputs = [conv.inputs[0], *others]
    attributes = {"block": block, **activation_of(conv)}
    return Node("WinogradConv", "edgevid", conv.name, inputs, conv.outputs, attributes)
