"""Motion features: the change between adjacent frames, as in STM, TEA and ACTION-Net.

Sources: Jiang et al., "STM", ICCV 2019, section 3.2; Li et al., "TEA", CVPR 2020, section 3.1; Wang, She,
Smolic, "ACTION-Net", CVPR 2021, section 3.3.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.temporal_difference import torch_op

temporal_difference = torch_op()

REDUCTION = 16
"""The ratio of channels to motion channels, as in all three papers."""


def reduce_channels(channels: int) -> int:
    """The motion channels for ``channels``: a narrow layer keeps one."""
    return max(1, channels // REDUCTION)


class MotionFeatures(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T, C // 16, H, W)``: the difference between each frame and the next one.

    ``r`` is a 1x1 convolution with batch norm; the difference is a channel-wise 3x3 convolution of the later
    frame's ``r``, minus the earlier frame's ``r``. The last frame gets zeros. Causal, each frame is compared
    with the one before it, and the first gets zeros.
    """

    def __init__(self, channels: int, direction: str = "bidirectional") -> None:
        super().__init__()
        self.direction, self.channels = direction, reduce_channels(channels)
        self.squeeze = nn.Conv2d(channels, self.channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(self.channels)
        self.conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, groups=self.channels, bias=False)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        reduced = self.bn(self.squeeze(x))
        return self._difference(self.conv(reduced), reduced, frames)

    def mean(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """Their mean over the image, ``(N*T, C // 16, 1, 1)``; taken before the difference to save work."""
        reduced = self.bn(self.squeeze(x))
        later, earlier = (features.mean((2, 3), keepdim=True) for features in (self.conv(reduced), reduced))
        return self._difference(later, earlier, frames)

    def _difference(self, later: torch.Tensor, earlier: torch.Tensor, frames: int) -> torch.Tensor:
        return temporal_difference(later, earlier, frames, self.direction == "causal")
