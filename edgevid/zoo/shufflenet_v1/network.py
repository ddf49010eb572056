"""ShuffleNet (v1), an image classifier: 1x1 group convolutions, and a shuffle of channels between groups.

Source: Zhang, Zhou, Lin, Sun, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile
Devices", CVPR 2018, table 1 and figure 2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from edgevid.errors import EdgevidError
from edgevid.zoo.layers.init import RESIDUAL_SCALE, keep_variance

STEM_CHANNELS = 24
STAGE_CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""The channels of the first stage by number of groups; each later stage doubles them."""

BLOCKS = (4, 8, 4)
BOTTLENECK = 4


def shuffle(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Transpose the channels from ``(groups, C / groups)`` to ``(C / groups, groups)``."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """1x1 group convolution, shuffle, depthwise 3x3, 1x1 group convolution, with a shortcut.

    At stride 2 the shortcut is an average pool, concatenated with the branch instead of added. The first
    unit's 1x1 has no groups: it reads the 24 channels of the stem.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int, first: bool) -> None:
        super().__init__()
        self.groups, self.stride = groups, stride
        hidden = outputs // BOTTLENECK
        branch_outputs = outputs if stride == 1 else outputs - inputs
        self.compress = nn.Conv2d(inputs, hidden, 1, groups=1 if first else groups, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.expand = nn.Conv2d(hidden, branch_outputs, 1, groups=groups, bias=False)
        self.bn3 = nn.BatchNorm2d(branch_outputs)
        nn.init.constant_(self.bn3.weight, RESIDUAL_SCALE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.compress(x)))
        y = self.bn2(self.depthwise(shuffle(y, self.groups)))
        y = self.bn3(self.expand(y))
        if self.stride == 1:
            return functional.relu(x + y)
        return functional.relu(torch.cat([functional.avg_pool2d(x, 3, 2, padding=1), y], 1))


class ShuffleNetV1(nn.Module):
    """Images ``(N, 3, H, W)`` to logits ``(N, classes)``."""

    def __init__(self, num_classes: int, groups: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(STEM_CHANNELS),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        self.stages = nn.Sequential()
        inputs, outputs = STEM_CHANNELS, STAGE_CHANNELS[groups]
        for stage, count in enumerate(BLOCKS):
            units = nn.Sequential()
            for index in range(count):
                first = stage == index == 0
                units.append(ShuffleUnit(inputs, outputs, 2 if index == 0 else 1, groups, first))
                inputs = outputs
            self.stages.append(units)
            outputs *= 2
        self.classifier = nn.Linear(inputs, num_classes)
        keep_variance(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.stages(self.stem(image)).mean((2, 3)))


def build(num_classes: int, groups: int = 3) -> ShuffleNetV1:
    """``groups`` is that of the 1x1 convolutions: 1, 2, 3, 4 or 8."""
    if groups not in STAGE_CHANNELS:
        choices = ", ".join(map(str, STAGE_CHANNELS))
        raise EdgevidError(f"ShuffleNet is defined for {choices} groups, not {groups}")
    return ShuffleNetV1(num_classes, groups)
