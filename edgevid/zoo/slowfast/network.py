"""SlowFast: a slow pathway of few frames and many channels, and a fast one of many frames and few channels.

Source: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, section 3 and table 1, as
in pytorchvideo: temporal convolutions with a stride join the features of the fast pathway to those of the
slow one, after the stem and after each of the first three stages.
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
"""The temporal kernel size of the fast pathway's stem; that of the slow one is 1."""

WIDTH, BETA = 64, 8
"""The channels of the slow pathway's stem, and their ratio to those of the fast one (1/beta in the paper)."""

JOINED = tuple(
    2 * channels // BETA for channels in (WIDTH, *(EXPANSION * WIDTH << stage for stage in range(3)))
)
"""The channels that each stage of the slow pathway gets from the fast one: twice those of the fast one."""


class Lateral(nn.Module):
    """A lateral connection to the slow pathway: a convolution over ``taps`` frames with stride ``alpha``."""

    def __init__(self, channels: int, taps: int, alpha: int) -> None:
        super().__init__()
        self.conv = SpatiotemporalConv(channels, 2 * channels, (taps, 1, 1), (alpha, 1, 1), bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)
        self.relu = nn.ReLU(inplace=True)
        keep_variance(self)

    def forward(self, slow: torch.Tensor, fast: torch.Tensor, frames: int) -> torch.Tensor:
        """The concatenated features of both pathways; the fast one has ``frames`` per clip."""
        return torch.cat([slow, self.relu(self.bn(self.conv(fast, frames)))], 1)


class SlowFast(nn.Module):
    """``(N*T, 3, H, W)``, the fast pathway's frames, to ``(N, 2304)`` features of each clip.

    The slow pathway reads one of ``alpha`` frames, including the first and the last; ``lateral_taps`` is the
    kernel size of the lateral connections.
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
        indices, count = slow_frames(frames, self.alpha, x.device), frames_out(frames, self.alpha)
        slow = x.unflatten(0, (-1, frames)).index_select(1, indices).flatten(0, 1)
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
    """The indices (int64) of the ``ceil(frames / alpha)`` frames of a clip that the slow pathway reads.

    They are evenly spaced from the first to the last, rounded down, as in ``PackPathway`` of pytorchvideo's
    tutorial.
    """
    places = torch.arange(frames_out(frames, alpha), device=device)
    return places * (frames - 1) // places[-1:].clamp(min=1)


def build(
    num_classes: int, frames: int, alpha: int, lateral_taps: int, dropout: float = 0.5
) -> FeatureAverage:
    """SlowFast on ResNet-50: 8x8 has ``alpha`` 4 and 7 ``lateral_taps``, 4x16 has 8 and 5."""
    return FeatureAverage(SlowFast(alpha, lateral_taps), num_classes, frames, dropout)
