"""Gates: layers that multiply features by weights between 0 and 1, computed from the features.

Sources: Hu, Shen, Sun, "Squeeze-and-Excitation Networks", CVPR 2018, section 3; Li et al., "TEA", CVPR 2020,
section 3.1, and its authors' code; Wang, She, Smolic, "ACTION-Net: Multipath Excitation for Action
Recognition", CVPR 2021, section 3, and its authors' code.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.motion import MotionFeatures, reduce_channels


class SqueezeExcitation(nn.Module):
    """A gate per channel and frame, from the means of all channels: ``(N, C, H, W)`` to the same shape."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.relu = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(self.relu(self.squeeze(means))))


class MotionExcitation(nn.Module):
    """TEA's motion excitation: amplifies channels with motion and attenuates others, each by up to a half.

    The paper adds the gated features to the features; its authors' code, followed here, first subtracts a
    half from the gate, so that features without motion do not change.
    """

    def __init__(self, channels: int, direction: str = "bidirectional") -> None:
        super().__init__()
        self.features = MotionFeatures(channels, direction)
        self.expand = nn.Conv2d(self.features.channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return x * (torch.sigmoid(self.bn(self.expand(self.features.mean(x, frames)))) + 0.5)


class MultipathExcitation(nn.Module):
    """ACTION-Net's three gates: ``(N*T, C, H, W)`` to the same shape, the sum of ``x * gate + x`` over gates.

    Space-time (STE): the mean of all channels, convolved over time and space. Channel (CE): the means of all
    images, squeezed, convolved over time and expanded. Motion (ME): the mean motion, expanded.
    """

    def __init__(self, channels: int, direction: str = "bidirectional") -> None:
        super().__init__()
        reduced, causal = reduce_channels(channels), direction == "causal"
        self.space_time = SpatiotemporalConv(1, 1, (3, 3, 3), padding=(1, 1), bias=False, causal=causal)
        self.channel_squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.channel_over_time = SpatiotemporalConv(reduced, reduced, (3, 1, 1), bias=False, causal=causal)
        self.channel_expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.motion = MotionFeatures(channels, direction)
        self.motion_expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        of_pixels = torch.sigmoid(self.space_time(x.mean(1, keepdim=True), frames))
        squeezed = self.channel_squeeze(x.mean((2, 3), keepdim=True))
        of_channels = self.channel_expand(torch.relu(self.channel_over_time(squeezed, frames)))
        of_motion = self.motion_expand(self.motion.mean(x, frames))
        # One product instead of three: x*a + x + x*b + x + x*c + x.
        return x * (of_pixels + (torch.sigmoid(of_channels) + torch.sigmoid(of_motion) + 3))
