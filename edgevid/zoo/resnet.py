"""ResNet and ResNeXt for frames, with an optional temporal shift in the residual branches.

Sources: He et al., "Deep Residual Learning", CVPR 2016, table 1 (stride on the 3x3 convolution, as in the
weights that everyone uses); Xie et al., "Aggregated Residual Transformations", CVPR 2017. Parameters carry
the names of torchvision's ResNet.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from edgevid.zoo.init import RESIDUAL_SCALE, keep_variance
from edgevid.zoo.shift import NoShift

EXPANSION = 4
ALTERNATE_FROM = 23
"""Where a stage has this many blocks, only every second block of the network shifts (as TSM's code does)."""


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided), 1x1 with a shortcut; the shift stands before the first 1x1, in the branch only."""

    def __init__(self, inputs: int, planes: int, stride: int, groups: int, base_width: int, shift: nn.Module):
        super().__init__()
        width, outputs = planes * base_width // 64 * groups, planes * EXPANSION
        self.shift = shift
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn3.weight, RESIDUAL_SCALE)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(self.shift(x, frames))))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y + shortcut)


class ResNet(nn.Module):
    """``(N*T, 3, H, W)`` frames to ``(N*T, 2048)`` features.

    ``blocks`` gives the blocks of each stage; ``make_shift`` makes the shift of a block, or is None; ``block`` makes
    a block from what ``Bottleneck`` takes.
    """

    feature_channels = 512 * EXPANSION

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        make_shift: Callable[[], nn.Module] | None = None,
        groups: int = 1,
        base_width: int = 64,
        block: Callable[..., Bottleneck] = Bottleneck,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        every = 2 if max(blocks) >= ALTERNATE_FROM else 1
        inputs = 64
        for stage, count in enumerate(blocks):
            planes, layer = 64 << stage, nn.ModuleList()
            for index in range(count):
                shift = make_shift() if make_shift and index % every == 0 else NoShift()
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(block(inputs, planes, stride, groups, base_width, shift))
                inputs = planes * EXPANSION
            setattr(self, f"layer{stage + 1}", layer)
        keep_variance(self)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in layer:
                x = block(x, frames)
        return x.mean((2, 3))


def resnet50(make_shift: Callable[[], nn.Module] | None = None) -> ResNet:
    return ResNet((3, 4, 6, 3), make_shift)


def resnet101(make_shift: Callable[[], nn.Module] | None = None) -> ResNet:
    return ResNet((3, 4, 23, 3), make_shift)


def resnext101_32x8d(make_shift: Callable[[], nn.Module] | None = None) -> ResNet:
    return ResNet((3, 4, 23, 3), make_shift, groups=32, base_width=8)
