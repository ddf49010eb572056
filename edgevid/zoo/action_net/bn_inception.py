"""BN-Inception for frames, with an optional temporal module before each of its ten Inception blocks.

Source: Ioffe, Szegedy, "Batch Normalization", ICML 2015, appendix; the channels are those of the weights that
TSN's authors released, which are in common use (in 4c, 4d and 4e some differ from the paper). Width and
height must be multiples of 32, so that the pooling and the convolutions of strided blocks have equal sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from edgevid.zoo.layers.init import keep_variance
from edgevid.zoo.layers.shift import NoShift

# channels of: the 1x1, the 3x3's reduction, the 3x3, the double 3x3's reduction, the double 3x3, and the
# projection after pooling; 0 where a strided block has none
BLOCKS = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
MOMENTUM = 0.9
"""Momentum of running statistics, as in the released code: the newest batch has a weight of nine tenths."""

MAX_POOLED = "5b"
"""The only block without stride that has a max-pool, not an average pool."""


class ConvBnRelu(nn.Module):
    """Convolution with bias, batch norm, ReLU; a 3x3 or 7x7 one is padded to keep the size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(outputs, momentum=MOMENTUM)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.conv(x)))


class InceptionBlock(nn.Module):
    """1x1, 3x3, two 3x3, and pooling with a 1x1, side by side; strided, without the first and the last 1x1.

    The temporal module ``shift`` comes before all of them.
    """

    def __init__(self, name: str, inputs: int, shift: nn.Module) -> None:
        super().__init__()
        single, reduce, conv, double_reduce, double, projection = BLOCKS[name]
        stride = 1 if single else 2
        self.shift = shift
        self.conv1x1 = ConvBnRelu(inputs, single, 1) if single else None
        self.conv3x3 = nn.Sequential(ConvBnRelu(inputs, reduce, 1), ConvBnRelu(reduce, conv, 3, stride))
        self.double3x3 = nn.Sequential(
            ConvBnRelu(inputs, double_reduce, 1),
            ConvBnRelu(double_reduce, double, 3),
            ConvBnRelu(double, double, 3, stride),
        )
        self.pool: nn.Module = nn.AvgPool2d(3, 1, padding=1)
        if not single:
            self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        elif name == MAX_POOLED:
            self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.projection = ConvBnRelu(inputs, projection, 1) if projection else nn.Identity()
        self.outputs = single + conv + double + (projection or inputs)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.shift(x, frames)
        branches = [] if self.conv1x1 is None else [self.conv1x1(x)]
        return torch.cat([*branches, self.conv3x3(x), self.double3x3(x), self.projection(self.pool(x))], 1)


class BNInception(nn.Module):
    """``(N*T, 3, H, W)`` frames to ``(N*T, 1024)`` features.

    ``make_shift(channels)`` makes the temporal module of a block; None for none.
    """

    feature_channels = 1024

    def __init__(self, make_shift: Callable[[int], nn.Module] | None = None) -> None:
        super().__init__()
        self.conv1 = ConvBnRelu(3, 64, 7, 2)
        self.conv2 = nn.Sequential(ConvBnRelu(64, 64, 1), ConvBnRelu(64, 192, 3))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.blocks, channels = nn.ModuleDict(), 192
        for name in BLOCKS:
            block = InceptionBlock(name, channels, make_shift(channels) if make_shift else NoShift())
            self.blocks[name], channels = block, block.outputs
        keep_variance(self)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.pool(self.conv2(self.pool(self.conv1(x))))
        for block in self.blocks.values():
            x = block(x, frames)
        return x.mean((2, 3))
