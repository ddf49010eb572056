"""TEA: a Res2Net with motion excitation and multiple temporal convolutions in every block.

Source: Li et al., "TEA: Temporal Excitation and Aggregation for Action Recognition", CVPR 2020, section 3,
and its authors' code: where the paper's multiple temporal aggregation (MTA) does not change the first of four
groups of channels, the code only convolves the last one over time; and in the first block of each stage it
does not sum a group with the one before. Backbone: Gao et al., "Res2Net", TPAMI 2019, 26 channels, 4 groups.
"""

from __future__ import annotations

import functools

import torch
from torch import nn

from edgevid.zoo.backbones.resnet import EXPANSION, Bottleneck, ResNet
from edgevid.zoo.layers.excitation import MotionExcitation
from edgevid.zoo.layers.init import RESIDUAL_SCALE
from edgevid.zoo.layers.temporal_conv import TemporalConv
from edgevid.zoo.segments import SegmentNetwork

GROUPS, BASE_WIDTH = 4, 26


class TEABlock(nn.Module):
    """1x1; motion excitation; four groups of channels, in sequence; 1x1; shortcut.

    Each group but the last is added to the output of the group before, followed by a channel-wise temporal
    convolution and a 3x3. A stage's first block has no sums, and average-pools its last group.
    """

    non_local = None

    def __init__(self, inputs: int, planes: int, stride: int, *_: object, direction: str) -> None:
        super().__init__()
        width, outputs = planes * BASE_WIDTH // 64, planes * EXPANSION
        self.width, self.is_first = width, inputs != outputs
        self.conv1 = nn.Conv2d(inputs, width * GROUPS, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * GROUPS)
        self.motion = MotionExcitation(width * GROUPS, direction)
        self.over_time = nn.ModuleList(
            TemporalConv(width, direction=direction, shift_div=2 if group == GROUPS - 1 else None)
            for group in range(GROUPS)
        )
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False) for _ in range(GROUPS - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(GROUPS - 1))
        self.pool = nn.AvgPool2d(3, stride, padding=1) if self.is_first else nn.Identity()
        self.conv3 = nn.Conv2d(width * GROUPS, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn3.weight, RESIDUAL_SCALE)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if self.is_first:
            self.downsample = Bottleneck.make_downsample(inputs, outputs, stride)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.motion(self.relu(self.bn1(self.conv1(x))), frames)
        y = self.bn3(self.conv3(torch.cat(self._aggregate(y.split(self.width, 1), frames), 1)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    def _aggregate(self, groups: tuple[torch.Tensor, ...], frames: int) -> list[torch.Tensor]:
        outputs: list[torch.Tensor] = []
        for group, over_time, conv, bn in zip(groups, self.over_time, self.convs, self.bns):
            if outputs and not self.is_first:
                group = group + outputs[-1]
            outputs.append(self.relu(bn(conv(over_time(group, frames)))))
        return [*outputs, self.pool(self.over_time[-1](groups[-1], frames))]


def build(num_classes: int, frames: int, direction: str, dropout: float = 0.5) -> SegmentNetwork:
    """TEA on Res2Net-50; ``direction`` is bidirectional as published, or causal for streams (new here)."""
    backbone = ResNet((3, 4, 6, 3), block=functools.partial(TEABlock, direction=direction))
    return SegmentNetwork(backbone, num_classes, frames, dropout)
