"""STM: a ResNet with a temporal convolution and a motion module in every block.

Source: Jiang et al., "STM: SpatioTemporal and Motion Encoding for Action Recognition", ICCV 2019, section 3,
and the authors' module files: where the paper's figure 3 is ambiguous, their code has batch norm but no ReLU
after the motion module's first convolution, nothing after its last, a 2x2 max-pool in strided blocks, and
adds motion after the 3x3 convolution's ReLU.
"""

from __future__ import annotations

import functools

import torch
from torch import nn

from edgevid.zoo.backbones.resnet import Bottleneck, ResNet
from edgevid.zoo.layers.motion import MotionFeatures
from edgevid.zoo.layers.temporal_conv import TemporalConv
from edgevid.zoo.segments import SegmentNetwork


class ChannelwiseMotion(nn.Module):
    """The channel-wise motion module (CMM), section 3.2: motion features, expanded and max-pooled."""

    def __init__(self, channels: int, stride: int, direction: str) -> None:
        super().__init__()
        self.features = MotionFeatures(channels, direction)
        self.expand = nn.Conv2d(self.features.channels, channels, 1, bias=False)
        self.pool = nn.MaxPool2d(stride, stride) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.pool(self.expand(self.features(x, frames)))


class STMBlock(Bottleneck):
    """1x1; a channel-wise convolution over time and the 3x3 (CSTM), plus motion (CMM); 1x1; the shortcut."""

    def __init__(self, inputs: int, planes: int, stride: int, *args: object, direction: str) -> None:
        super().__init__(inputs, planes, stride, *args)
        width = self.conv2.in_channels
        self.over_time = TemporalConv(width, direction=direction)
        self.motion = ChannelwiseMotion(width, stride, direction)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        spatiotemporal = self.relu(self.bn2(self.conv2(self.over_time(y, frames))))
        y = self.bn3(self.conv3(spatiotemporal + self.motion(y, frames)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y + shortcut)


def build(
    num_classes: int, frames: int, direction: str, dropout: float = 0.5, width: float = 1.0
) -> SegmentNetwork:
    """STM on ResNet-50; ``direction`` is bidirectional as published, or causal for streams (new here).

    ``width`` multiplies the channels of the backbone.
    """
    backbone = ResNet((3, 4, 6, 3), block=functools.partial(STMBlock, direction=direction), width=width)
    for module in backbone.modules():
        if isinstance(module, ChannelwiseMotion):
            # No ReLU follows these convolutions: with a ReLU's gain, motion would dominate.
            for convolution in (module.features.squeeze, module.features.conv, module.expand):
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
    return SegmentNetwork(backbone, num_classes, frames, dropout)
