"""ResNet-vd: a stem of three 3x3 convolutions, and average pooling in strided shortcuts.

Source: He et al., "Bag of Tricks for Image Classification with CNNs", CVPR 2019, section 4.2 (ResNet-C and
-D); the leaky ReLU throughout, including after the sum, is PP-TSM's: PaddleVideo, ``resnet_tweaks_tsm.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from edgevid.zoo.backbones.resnet import Bottleneck, ResNet

NEGATIVE_SLOPE = 0.01


def leaky_relu() -> nn.Module:
    return nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True)


class BottleneckVd(Bottleneck):
    """A strided shortcut is a 2x2 average pool (of fewer pixels at an odd edge) and a 1x1 of stride 1."""

    @staticmethod
    def make_activation() -> nn.Module:
        return leaky_relu()

    @staticmethod
    def make_downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        pool = nn.AvgPool2d(2, stride, ceil_mode=True) if stride > 1 else nn.Identity()
        return nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class ResNetVd(ResNet):
    """``(N*T, 3, H, W)`` frames to ``(N*T, 2048)`` features."""

    def add_stem(self, channels: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        half = outputs // 2
        for before, after, stride in ((channels, half, 2), (half, half, 1), (half, outputs, 1)):
            layers.append(nn.Conv2d(before, after, 3, stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after), leaky_relu()]
        self.conv1 = nn.Sequential(*layers)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.maxpool(self.conv1(x))


def resnet50_vd(make_shift: Callable[[], nn.Module] | None = None, width: float = 1.0) -> ResNetVd:
    return ResNetVd((3, 4, 6, 3), make_shift, block=BottleneckVd, alternate=False, width=width)


def resnet101_vd(make_shift: Callable[[], nn.Module] | None = None, width: float = 1.0) -> ResNetVd:
    return ResNetVd((3, 4, 23, 3), make_shift, block=BottleneckVd, alternate=False, width=width)
