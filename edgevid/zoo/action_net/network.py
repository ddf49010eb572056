"""ACTION-Net: before a block's first convolution, a channel-wise convolution over time and three gates.

Source: Wang, She, Smolic, "ACTION-Net: Multipath Excitation for Action Recognition", CVPR 2021, and its
authors' code. In MobileNetV2 and ResNet-50 the module is in the residual branch, in MobileNetV2 only in
blocks with a shortcut; in BN-Inception it precedes each Inception block.
"""

from __future__ import annotations

import functools

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo.action_net.bn_inception import BNInception
from edgevid.zoo.backbones.mobilenet_v2 import InvertedResidual, mobilenet_v2
from edgevid.zoo.backbones.resnet import Bottleneck, resnet50
from edgevid.zoo.layers.excitation import MultipathExcitation
from edgevid.zoo.layers.temporal_conv import TemporalConv
from edgevid.zoo.segments import SegmentNetwork

GAIN = 4.5
"""The factor of a module with untrained gates: three gates of a half, plus three."""


class Action(nn.Module):
    """``(N*T, C, H, W)`` to the same: a channel-wise convolution over time, then the three gates."""

    def __init__(self, channels: int, direction: str = "bidirectional") -> None:
        super().__init__()
        self.over_time = TemporalConv(channels, direction=direction)
        self.excitation = MultipathExcitation(channels, direction)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.excitation(self.over_time(x, frames), frames)


def _resnet50(direction: str, width: float = 1.0) -> nn.Module:
    backbone = resnet50(width=width)
    for block in backbone.modules():
        if isinstance(block, Bottleneck):
            block.shift = Action(block.conv1.in_channels, direction)
            _expect_gain(block.bn1)
    return backbone


def _mobilenet_v2(direction: str, width: float = 1.0) -> nn.Module:
    backbone = mobilenet_v2(width=width)
    for block in backbone.modules():
        if isinstance(block, InvertedResidual) and block.has_shortcut:
            expansion, norm = block.conv[0], block.conv[1]
            block.shift = Action(expansion.in_channels, direction)
            _expect_gain(norm)
    return backbone


def _bn_inception(direction: str) -> nn.Module:
    backbone = BNInception(functools.partial(Action, direction=direction))
    for block in backbone.blocks.values():
        for branch in (block.conv1x1, block.conv3x3[0], block.double3x3[0], block.projection):
            if hasattr(branch, "bn"):
                _expect_gain(branch.bn)
    return backbone


def _expect_gain(norm: nn.BatchNorm2d) -> None:
    """Initialize running statistics for this factor, so that random weights keep values in range."""
    norm.running_var.fill_(GAIN**2)


BACKBONES = {"resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2, "bn_inception": _bn_inception}


def build(
    num_classes: int,
    frames: int,
    backbone: str,
    direction: str,
    dropout: float = 0.5,
    width: float = 1.0,
) -> SegmentNetwork:
    """ACTION-Net; ``direction`` is bidirectional as published, or causal for streams (new here).

    ``width`` multiplies the channels of the backbone; BN-Inception has no other width than 1.
    """
    if width != 1 and backbone == "bn_inception":
        raise EdgevidError("BN-Inception has a single width: choose a ResNet or MobileNetV2")
    options = {} if width == 1 else {"width": width}
    return SegmentNetwork(BACKBONES[backbone](direction, **options), num_classes, frames, dropout)
