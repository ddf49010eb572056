"""ResNets with temporal convolutions: Slow, C2D, I3D, and I3D with non-local blocks.

Sources: Carreira, Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017 (inflated filters); Feichtenhofer et
al., "SlowFast Networks for Video Recognition", ICCV 2019, table 1 (Slow); Wang et al., "Non-local Neural
Networks", CVPR 2018, table 1 (C2D, and which blocks are inflated). Slow, C2D and I3D with 8 frames follow
pytorchvideo, I3D with 32 frames follows MMAction2. Parameter names are those of torchvision's ResNet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from edgevid.zoo.backbones.resnet import EXPANSION, Bottleneck
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.init import keep_variance
from edgevid.zoo.layers.non_local import NonLocal
from edgevid.zoo.layers.pair_max import PairMax
from edgevid.zoo.layers.shift import NoShift
from edgevid.zoo.segments import FeatureAverage

BLOCKS = (3, 4, 6, 3)

Taps = tuple[tuple[int, ...], ...]
"""Temporal kernel sizes of each stage, repeated over its blocks: (3, 1) inflates every second block."""

SLOW: Taps = ((1,), (1,), (3,), (3,))
NO_TEMPORAL: Taps = ((1,), (1,), (1,), (1,))
INFLATED: Taps = ((3,), (3, 1), (3, 1), (1, 3))

NON_LOCAL_STAGES = (1, 2)
"""The stages, counted from 0, with a non-local block after every second block."""


class InflatedBottleneck(Bottleneck):
    """kx1x1, 1x3x3 (strided), 1x1x1 and the shortcut: the first convolution spans ``taps`` frames."""

    def __init__(self, inputs: int, planes: int, stride: int, taps: int) -> None:
        super().__init__(inputs, planes, stride, 1, 64, NoShift())
        self.conv1 = SpatiotemporalConv(inputs, planes, (taps, 1, 1), bias=False)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x, frames)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Stage(nn.ModuleList):
    """A sequence of blocks, each optionally followed by a non-local block."""

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        for block in self:
            x = block(x, frames)
            if block.non_local is not None:
                x = block.non_local(x, frames)
        return x


class Pathway(nn.Module):
    """The stem and the four stages of a ResNet-50 of ``width`` channels: 64 in a full one.

    The stem convolves over ``stem_taps`` frames and keeps one of ``stem_stride``; ``taps`` are those of the
    stages; ``joined`` are the additional input channels of each stage.
    """

    def __init__(
        self,
        taps: Taps,
        stem_taps: int = 1,
        stem_stride: int = 1,
        width: int = 64,
        joined: tuple[int, int, int, int] = (0, 0, 0, 0),
        make_non_local: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = SpatiotemporalConv(
            3, width, (stem_taps, 7, 7), (stem_stride, 2, 2), padding=(3, 3), bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        inputs = width
        for stage, count in enumerate(BLOCKS):
            planes, layer = width << stage, Stage()
            for index in range(count):
                reads = inputs + (joined[stage] if index == 0 else 0)
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(InflatedBottleneck(reads, planes, stride, taps[stage][index % len(taps[stage])]))
                inputs = planes * EXPANSION
                if make_non_local and stage in NON_LOCAL_STAGES and index % 2:
                    layer[-1].non_local = make_non_local(inputs)
            setattr(self, f"layer{stage + 1}", layer)
        self.feature_channels = inputs
        keep_variance(self)

    @property
    def stages(self) -> list[Stage]:
        return [self.layer1, self.layer2, self.layer3, self.layer4]

    def stem(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(x, frames))))


class WindowMean(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T, C)``: the mean over all windows of ``size`` by ``size`` pixels.

    Up to ``size`` pixels are one window; with more, pixels in the middle belong to more windows and have a
    larger weight, as in pytorchvideo's head, which averages the outputs of 7x7 windows.
    """

    def __init__(self, size: int = 7) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
            return self._mean_of_any_size(x)
        if max(height, width) > self.size:
            x = functional.avg_pool2d(x, (min(height, self.size), min(width, self.size)), 1)
        return x.mean((2, 3))

    def _mean_of_any_size(self, x: torch.Tensor) -> torch.Tensor:
        """The same without a branch, for an export with dynamic height and width.

        A side shorter than the window is padded with zeros, and the mean is rescaled accordingly.
        """
        short = [torch.sym_max(self.size - side, 0) for side in x.shape[-2:]]
        filled = functional.pad(x, (0, short[1], 0, short[0]))
        means = functional.avg_pool2d(filled, self.size, 1).mean((2, 3))
        return means * (self.size**2 / ((self.size - short[0]) * (self.size - short[1])))


class ResNet3d(Pathway):
    """``(N*T, 3, H, W)`` frames to ``(N*T', 2048)`` features; ``pairs`` halves the frames after stage 1."""

    def __init__(self, taps: Taps, pairs: bool, global_mean: bool = False, **options: object) -> None:
        super().__init__(taps, **options)
        self.pool = PairMax() if pairs else None
        self.head = nn.AdaptiveAvgPool2d(1) if global_mean else WindowMean()

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x, frames = self.stem(x, frames), self.conv1.frames_out(frames)
        for index, stage in enumerate(self.stages):
            x = stage(x, frames)
            if index == 0 and self.pool is not None:
                x, frames = self.pool(x, frames), self.pool.frames_out(frames)
        return self.head(x).flatten(1)


def build_slow(num_classes: int, frames: int, dropout: float = 0.5) -> FeatureAverage:
    """The slow pathway of SlowFast: temporal convolutions in the last two stages."""
    return FeatureAverage(ResNet3d(SLOW, pairs=False), num_classes, frames, dropout)


def build_c2d(num_classes: int, frames: int, dropout: float = 0.5) -> FeatureAverage:
    """A ResNet on frames, with a max-pool over pairs of frames after the first stage."""
    return FeatureAverage(ResNet3d(NO_TEMPORAL, pairs=True), num_classes, frames, dropout)


def build_i3d(num_classes: int, frames: int, dropout: float = 0.5) -> FeatureAverage:
    """I3D on 8 frames with a sampling stride of 8."""
    return FeatureAverage(ResNet3d(INFLATED, pairs=True, stem_taps=5), num_classes, frames, dropout)


def build_i3d_32x2(
    num_classes: int, frames: int, pairwise: str | None = None, dropout: float = 0.5
) -> FeatureAverage:
    """I3D on 32 frames with a sampling stride of 2, as in MMAction2; with ``pairwise``, five non-local
    blocks.

    ``pairwise`` is one of ``non_local.PAIRWISE``. MMAction2's stem keeps every second frame twice, in its
    convolution and in its 1x3x3 max-pool. A convolution that keeps every fourth frame gives the same result
    without computing frames that the pool drops.
    """
    make_non_local = functools.partial(NonLocal, pairwise=pairwise) if pairwise else None
    backbone = ResNet3d(
        INFLATED, pairs=True, global_mean=True, stem_taps=5, stem_stride=4, make_non_local=make_non_local
    )
    return FeatureAverage(backbone, num_classes, frames, dropout)
