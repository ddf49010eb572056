"""ChannelNets' public code: TensorFlow's scopes, with the values in PyTorch's order.

Source: github.com/HongyangGao/ChannelNets, ``model.py`` and ``utils/ops.py``.
"""

from __future__ import annotations

import re

from torch import Tensor

from edgevid.weights.formats import Format


def _group_module(match: re.Match) -> str:
    return f"groups.{int(match[1]) - 1}."


def _flat(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """The (25, 7, 7) of the classification layer is one filter along channels in pixel order."""
    is_volume = name == "classifier.filter.weight" and tensor.numel() == expected.numel()
    return tensor.reshape(expected.shape) if is_volume else tensor


FORMAT = Format(
    "ChannelNets",
    (
        (r"^conv_s/weights$", "stem.0.weight"),
        (r"^conv_s/bn/", "stem.1."),
        (r"^conv_1_(\d)/", r"low.\1."),
        (r"^conv_2_(\d)/", _group_module),
        (r"^conv_3_(\d)/", r"high.\1."),
        (r"group_(\d)/conv_(\d)/", r"groups.\1.\2."),
        (r"pure_conv/pure_conv/kernel$", "mix.weight"),
        (r"conv1/conv/weight_depths$", "depthwise.weight"),
        (r"conv2/weights$", "pointwise.weight"),
        (r"conv2/bn/", "bn."),
        (r"conv2/conv1d/conv1d/kernel$", "pixelwise.weight"),
        (r"^out/dense/weights$", "classifier.weight"),
        (r"^out/dense/bias$", "classifier.bias"),
        (r"^out/conv/conv/weight_depths$", "classifier.depthwise.weight"),
        (r"^out/pure/pure_conv/kernel$", "classifier.filter.weight"),
    ),
    convert=_flat,
)
