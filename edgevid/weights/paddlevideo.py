"""PaddleVideo's checkpoints of PP-TSM: ResNet-vd, MobileNetV2 and PP-LCNet v2.

Source: github.com/PaddlePaddle/PaddleVideo, ``paddlevideo/modeling/backbones/resnet_tweaks_tsm.py``,
``pptsm_mv2.py`` and ``pptsm_v2.py``. Paddle stores linear layers as (in, out), the transpose of torch's.
"""

from __future__ import annotations

import re

from torch import Tensor

from edgevid.weights.formats import Format, Rule
from edgevid.zoo.backbones.mobilenet_v2 import FIRST_BLOCKS

_STATISTICS: tuple[Rule, ...] = ((r"\._mean$", ".running_mean"), (r"\._variance$", ".running_var"))


def _linear(name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    """Transpose a linear layer. The shape of a square matrix does not show its layout: assume Paddle's."""
    if tensor.ndim != 2 or tensor.T.shape != expected.shape:
        return tensor
    return tensor.T


def _stem(match: re.Match) -> str:
    return f"conv1.{3 * (int(match[1]) - 1) + (match[2] == '_batch_norm')}."


def _bottleneck(match: re.Match) -> str:
    stage, block, layer, part = int(match[1]) + 1, match[2], match[3], match[4]
    if layer == "short":
        return f"layer{stage}.{block}.downsample.{1 if part == '_conv' else 2}."
    kind = "conv" if part == "_conv" else "bn"
    return f"layer{stage}.{block}.{kind}{int(layer[-1]) + 1}."


RESNET_VD = Format(
    "PaddleVideo",
    (
        *_STATISTICS,
        (r"^head\.fc\.", "classifier."),
        (r"\bconv1_(\d)\.(_conv|_batch_norm)\.", _stem),
        (r"\bbb_(\d)_(\d+)\.(conv\d|short)\.(_conv|_batch_norm)\.", _bottleneck),
    ),
    convert=_linear,
)

_LAYER = {"expand": 0, "bottleneck": 3, "linear": 6}


def _inverted_residual(match: re.Match) -> str:
    block = 0 if match[2] == "_first_block" else int(match[2].rpartition("_")[2]) - 1
    feature = FIRST_BLOCKS[int(match[1]) - 2] + block  # conv1 is the stem
    return f"features.{feature}.conv.{_LAYER[match[3]] + (match[4] == '_batch_norm')}."


MOBILENET_V2 = Format(
    "PaddleVideo's MobileNetV2",
    (
        *_STATISTICS,
        (r"^backbone\.out\.", "classifier."),
        (r"\bconv(\d)\.(_first_block|conv\d_\d)\._(\w+)_conv\.(_conv|_batch_norm)\.", _inverted_residual),
        (r"\bconv1\._conv\.", "features.0.0."),
        (r"\bconv1\._batch_norm\.", "features.0.1."),
        (r"\bconv9\._conv\.", f"features.{FIRST_BLOCKS[-1]}.0."),
        (r"\bconv9\._batch_norm\.", f"features.{FIRST_BLOCKS[-1]}.1."),
    ),
    convert=_linear,
)

LCNET_V2 = Format(
    "PaddleVideo's PP-LCNet v2",
    (
        *_STATISTICS,
        (r"^backbone\.fc\.", "classifier."),
        (r"\.stem\.1\.", ".stem.3."),
        (r"\.stem\.0\.conv\.", ".stem.0."),
        (r"\.stem\.0\.bn\.", ".stem.1."),
        (r"\.dw_conv_list\.(\d)\.", r".depthwise.branches.\1."),
        (r"\.dw_conv\.(?=weight|bias)", ".depthwise.merged."),
        (r"\.dw_conv\.", ".depthwise."),
        (r"\.se\.conv1\.", ".excitation.squeeze."),
        (r"\.se\.conv2\.", ".excitation.expand."),
        (r"\.pw_conv(?:_1)?\.", ".pointwise.0."),
        (r"\.pw_conv_2\.", ".pointwise.1."),
        (r"\.conv\.", ".0."),
        (r"\.bn\.", ".1."),
    ),
    convert=_linear,
)
