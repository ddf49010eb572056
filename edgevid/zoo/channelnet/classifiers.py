"""ChannelNets' classification layers: from feature maps ``(N, C, 7, 7)`` to logits ``(N, classes)``.

Instead of a fully connected layer with a weight per channel and class, a filter over ``C - classes + 1``
channels moves along the channels, and yields one class at each step.

Source: Gao, Wang, Ji, "ChannelNets", NeurIPS 2018, section 3.4; without shared weights: Gao, Wang, Cai, Ji,
"ChannelNets", TPAMI 2020, section 3.7.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo.layers.channel_conv import ChannelConv, UnsharedChannelConv
from edgevid.zoo.layers.same_padding import SameConv2d

SIDE = 7
"""Height and width of the feature maps of a 224x224 image."""


def taps_for(channels: int, classes: int) -> int:
    if classes > channels:
        raise EdgevidError(
            f"a filter along {channels} channels has at most {channels} classes, not {classes}: "
            "use channelnet_v2"
        )
    return channels - classes + 1


def _require_side(x: torch.Tensor) -> None:
    if x.shape[2:] != (SIDE, SIDE):
        height, width = x.shape[2:]
        raise ValueError(
            f"its last filter covers {SIDE}x{SIDE} pixels of a 224x224 image, not {height}x{width}"
        )


class PooledLinear(nn.Linear):
    """The mean over pixels, and a fully connected layer: v1 and v2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.mean((2, 3)))


class VolumeConv(nn.Module):
    """One filter over 7x7 pixels and neighboring channels, after the depthwise 3x3 of the public code: v3.

    On flattened channels it is a filter along them, with a stride of one channel's 49 pixels.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(channels, channels, 3, groups=channels)
        self.filter = ChannelConv(1, taps_for(channels, classes) * SIDE**2, stride=SIDE**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _require_side(x)
        return self.filter(self.depthwise(x).flatten(1))


class SeparableConv(nn.Module):
    """A depthwise 7x7 instead of the mean, then one filter along the channels."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, SIDE, groups=channels, bias=False)
        self.filter = ChannelConv(1, taps_for(channels, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _require_side(x)
        return self.filter(self.depthwise(x).flatten(1))


class UnsharedConv(nn.Module):
    """The mean over pixels, then a separate filter over neighboring channels for each class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.filter = UnsharedChannelConv(1, taps_for(channels, classes), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x.mean((2, 3)))


CLASSIFIERS = {
    "linear": PooledLinear,
    "volume": VolumeConv,
    "separable": SeparableConv,
    "unshared": UnsharedConv,
}
"""Classification layers by name; their arguments are the numbers of channels and of classes."""
