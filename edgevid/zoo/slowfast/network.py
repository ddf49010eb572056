"""SlowFast: a slow pathway of few frames and many channels, and a fast one of many frames and few channels.

Source: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, section 3 and table 1, as
pytorchvideo builds it: what the fast pathway gives is joined to the slow one behind the stem and the first
three stages, by convolutions over time that skip the frames that the slow pathway does not see.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.frame_stack import frames_out
from edgevid.zoo.backbones.resnet import EXPANSION
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.init import keep_variance
from edgevid.zoo.resnet3d.network import SLOW, Pathway, Taps, WindowMean
from edgevid.zoo.segments import FeatureAverage

FAST: Taps = ((3,), (3,), (3,), (3,))
STEM_TAPS = 5
"""Frames that the stem of the fast pathway convolves over; that of the slow one sees each frame alone."""

WIDTH, BETA = 64, 8
"""Channels of the slow pathway's stem, and how many times fewer the fast pathway has: 1/beta of the paper."""

JOINED = tuple(
    2 * channels // BETA for channels in (WIDTH, *(EXPANSION * WIDTH << stage for stage in range(3)))
)
"""Channels that each stage of the slow pathway gets from the fast one: twice those that are there."""


class Lateral(nn.Module):
    """From the fast pathway to the slow: a convolution over ``taps`` frames that keeps one of ``alpha``."""

    def __init__(self, channels: int, taps: int, alpha: int) -> None:
        super().__init__()
        self.conv = SpatiotemporalConv(channels, 2 * channels, (taps, 1, 1), (alpha, 1, 1), bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)
        self.relu = nn.ReLU(inplace=True)
        keep_variance(self)

    def forward(self, slow: torch.Tensor, fast: torch.Tensor, frames: int) -> torch.Tensor:
        """The slow pathway's features with the fast one's, of ``frames`` each clip, behind them."""
        return torch.cat([slow, self.relu(self.bn(self.conv(fast, frames)))], 1)


class SlowFast(nn.Module):
    """``(N*T, 3, H, W)``, the fast pathway's frames, to ``(N, 2304)`` features of each clip.

    The slow pathway sees one of ``alpha`` frames, the first and the last among them; ``lateral_taps`` are the
    frames that the joining convolutions see.
    """

    feature_channels = (WIDTH + WIDTH // BETA) * 8 * EXPANSION

    def __init__(self, alpha: int, lateral_taps: int) -> None:
        super().__init__()
        self.alpha = alpha
        self.slow = Pathway(SLOW, joined=JOINED)
        self.fast = Pathway(FAST, STEM_TAPS, width=WIDTH // BETA)
        self.laterals = nn.ModuleList(Lateral(joined // 2, lateral_taps, alpha) for joined in JOINED)
        self.mean = WindowMean()

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        chosen, count = slow_frames(frames, self.alpha, x.device), frames_out(frames, self.alpha)
        slow = x.unflatten(0, (-1, frames)).index_select(1, chosen).flatten(0, 1)
        slow, fast = self.slow.stem(slow, count), self.fast.stem(x, frames)
        for lateral, of_slow, of_fast in zip(self.laterals, self.slow.stages, self.fast.stages):
            slow = of_slow(lateral(slow, fast, frames), count)
            fast = of_fast(fast, frames)
        clips = [
            self.mean(pathway).unflatten(0, (-1, length)).mean(1)
            for pathway, length in ((slow, count), (fast, frames))
        ]
        return torch.cat(clips, 1)


def slow_frames(frames: int, alpha: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Of a clip of ``frames``, the ``ceil(frames / alpha)`` that the slow pathway sees, int64.

    Evenly from the first to the last, rounded down, as ``PackPathway`` of pytorchvideo's tutorial has it.
    """
    places = torch.arange(frames_out(frames, alpha), device=device)
    return places * (frames - 1) // places[-1:].clamp(min=1)


def build(
    num_classes: int, frames: int, alpha: int, lateral_taps: int, dropout: float = 0.5
) -> FeatureAverage:
    """SlowFast on ResNet-50: 8x8 has ``alpha`` 4 and 7 ``lateral_taps``, 4x16 has 8 and 5."""
    return FeatureAverage(SlowFast(alpha, lateral_taps), num_classes, frames, dropout)
