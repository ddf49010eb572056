"""MobileNetV2 for frames, with an optional temporal shift in the blocks that have a shortcut.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
Parameter names are those of the checkpoints that TSM's authors released.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import nn

from edgevid.zoo.layers.init import keep_variance
from edgevid.zoo.layers.shift import NoShift
from edgevid.zoo.layers.width import scale_channels

# expansion, output channels, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
HEAD_CHANNELS = 1280
FIRST_BLOCKS = tuple(accumulate((count for _, _, count, _ in STAGES), initial=1))
"""The index of each stage's first block in ``features``, and of the head at the end; the stem is 0."""


def conv_bn_relu6(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    ]


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise 3x3, linear 1x1; the shift precedes the expansion, in the branch only."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        make_shift: Callable | None,
        expands: bool = True,
    ):
        super().__init__()
        self.has_shortcut = stride == 1 and inputs == outputs
        self.shift = make_shift() if make_shift and self.has_shortcut else NoShift()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            *(conv_bn_relu6(inputs, hidden, 1) if expands else []),
            *conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.conv(self.shift(x, frames))
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """``(N*T, channels, H, W)`` frames to ``(N*T, 1280)`` features.

    ``always_expands`` gives the first block a 1x1 convolution too, though its expansion is 1. ``width``
    multiplies the channels of every layer, but the last one's only if it is above 1 (section 5).
    """

    def __init__(
        self,
        make_shift: Callable[[], nn.Module] | None = None,
        channels: int = 3,
        always_expands: bool = False,
        width: float = 1.0,
    ):
        super().__init__()
        inputs = scale_channels(32, width)
        self.feature_channels = scale_channels(HEAD_CHANNELS, max(1.0, width))
        layers: list[nn.Module] = [nn.Sequential(*conv_bn_relu6(channels, inputs, 3, 2))]
        for expansion, stage_channels, count, first_stride in STAGES:
            outputs = scale_channels(stage_channels, width)
            for index in range(count):
                stride = first_stride if index == 0 else 1
                expands = always_expands or expansion != 1
                layers.append(InvertedResidual(inputs, outputs, stride, expansion, make_shift, expands))
                inputs = outputs
        layers.append(nn.Sequential(*conv_bn_relu6(inputs, self.feature_channels, 1)))
        self.features = nn.ModuleList(layers)
        keep_variance(self)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        stem, *blocks, head = self.features
        x = stem(x)
        for block in blocks:
            x = block(x, frames)
        return head(x).mean((2, 3))


def mobilenet_v2(make_shift: Callable[[], nn.Module] | None = None, **options: object) -> MobileNetV2:
    return MobileNetV2(make_shift, **options)
