"""R(2+1)D: a ResNet whose convolutions are each one over space, batch norm, ReLU, and one over time.

Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, section
3.5 and table 1, as in MMAction2's code: a max-pool over space after the stem, factorized shortcuts, and equal
strides in time and space from the second stage on. Its configuration gives the network's batch norms an
epsilon of 1e-3; those inside a factorized convolution (``Conv2plus1d``) keep that class's default of 1e-5.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.init import RESIDUAL_SCALE, keep_variance
from edgevid.zoo.segments import FeatureAverage

BLOCKS = (3, 4, 6, 3)
EPSILON = 1e-3
"""Epsilon of batch norms after a factorized convolution; those inside keep PyTorch's 1e-5."""


class Conv2Plus1d(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T', O, H', W')``: over ``size`` pixels each way, then over ``taps`` frames.

    The channels between them (M in the paper) keep the number of parameters of a convolution over both.
    """

    def __init__(
        self, inputs: int, outputs: int, taps: int, size: int, stride: int, time_stride: int
    ) -> None:
        super().__init__()
        # 3 for any ``taps``, as in MMAction2's code, so a shortcut has more channels than M.
        middle = 3 * inputs * outputs * size**2 // (inputs * size**2 + 3 * outputs)
        self.conv_s = nn.Conv2d(inputs, middle, size, stride, padding=size // 2, bias=False)
        self.bn_s = nn.BatchNorm2d(middle)
        self.relu = nn.ReLU(inplace=True)
        self.conv_t = SpatiotemporalConv(middle, outputs, (taps, 1, 1), (time_stride, 1, 1), bias=False)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.conv_t(self.relu(self.bn_s(self.conv_s(x))), frames)

    def frames_out(self, frames: int) -> int:
        return self.conv_t.frames_out(frames)


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut; ``stride`` is in time and space, of the first and of the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv2Plus1d(inputs, outputs, 3, 3, stride, stride)
        self.bn1 = nn.BatchNorm2d(outputs, EPSILON)
        self.conv2 = Conv2Plus1d(outputs, outputs, 3, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(outputs, EPSILON)
        nn.init.constant_(self.bn2.weight, RESIDUAL_SCALE)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            shortcut = Conv2Plus1d(inputs, outputs, 1, 1, stride, stride)
            self.downsample = nn.ModuleList([shortcut, nn.BatchNorm2d(outputs, EPSILON)])

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x, frames)))
        y = self.bn2(self.conv2(y, self.conv1.frames_out(frames)))
        if self.downsample is not None:
            convolve, norm = self.downsample
            x = norm(convolve(x, frames))
        return self.relu(y + x)


class ResNet2Plus1d(nn.Module):
    """``(N*T, 3, H, W)`` frames to ``(N*ceil(T / 8), 512)`` features."""

    feature_channels = 512

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2Plus1d(3, 64, 3, 7, 2, 1)
        self.bn1 = nn.BatchNorm2d(64, EPSILON)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = 64
        for stage, count in enumerate(BLOCKS):
            layer = nn.ModuleList()
            for index in range(count):
                layer.append(BasicBlock(inputs, 64 << stage, 2 if index == 0 and stage > 0 else 1))
                inputs = 64 << stage
            setattr(self, f"layer{stage + 1}", layer)
        keep_variance(self)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x, frames))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x, frames = block(x, frames), block.conv1.frames_out(frames)
        return x.mean((2, 3))


def build(num_classes: int, frames: int, dropout: float = 0.5) -> FeatureAverage:
    return FeatureAverage(ResNet2Plus1d(), num_classes, frames, dropout)
