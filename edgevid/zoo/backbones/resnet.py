"""ResNet and ResNeXt for frames, with an optional temporal shift in the residual branches.

Sources: He et al., "Deep Residual Learning", CVPR 2016, table 1 (stride on the 3x3 convolution, as in the
weights in common use); Xie et al., "Aggregated Residual Transformations", CVPR 2017; the places of shifts,
temporal pooling and non-local blocks are those of TSM's code. Parameter names are those of torchvision's
ResNet.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from edgevid.zoo.layers.init import RESIDUAL_SCALE, keep_variance
from edgevid.zoo.layers.shift import NoShift
from edgevid.zoo.layers.temporal_pool import TemporalPool
from edgevid.zoo.layers.width import scale_channels

EXPANSION = 4
ALTERNATE_FROM = 23
"""From this many blocks in a stage on, only every second block of the network shifts (as in TSM's code)."""

NON_LOCAL_STAGES = (1, 2)
"""The stages, counted from 0, with a non-local block after every second block."""


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided), 1x1 with a shortcut; the shift precedes the first 1x1, in the branch only."""

    shifts_shortcut = False

    def __init__(self, inputs: int, planes: int, stride: int, groups: int, base_width: int, shift: nn.Module):
        super().__init__()
        width, outputs = planes * base_width // 64 * groups, planes * EXPANSION
        self.shift = shift
        self.conv1: nn.Module = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        nn.init.constant_(self.bn3.weight, RESIDUAL_SCALE)
        self.relu = self.make_activation()
        self.non_local: nn.Module | None = None  # runs after the block
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = self.make_downsample(inputs, outputs, stride)

    @staticmethod
    def make_activation() -> nn.Module:
        return nn.ReLU(inplace=True)

    @staticmethod
    def make_downsample(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.residual(self.shift(x, frames), x)

    def residual(self, x: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (shortcut if self.downsample is None else self.downsample(shortcut)))


class BlockShiftBottleneck(Bottleneck):
    """The shift precedes the whole block, so the shortcut also carries shifted frames ("block")."""

    shifts_shortcut = True

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.shift(x, frames)
        return self.residual(x, x)


class ResNet(nn.Module):
    """``(N*T, channels, H, W)`` frames to ``(N*T', 2048)`` features.

    ``blocks`` is the number of blocks per stage. ``make_shift()`` makes the shift of a block; None for none.
    ``block`` makes a block from the arguments of ``Bottleneck``. ``make_non_local(channels)`` makes a
    non-local block; None for none. ``temporal_pool`` halves the frames after the first stage, rounding up.
    ``alternate`` shifts only in every second block of a deep network, see ``ALTERNATE_FROM``. ``width``
    multiplies the channels of every layer.
    """

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        make_shift: Callable[[], nn.Module] | None = None,
        groups: int = 1,
        base_width: int = 64,
        block: Callable[..., Bottleneck] = Bottleneck,
        channels: int = 3,
        temporal_pool: bool = False,
        make_non_local: Callable[[int], nn.Module] | None = None,
        alternate: bool = True,
        width: float = 1.0,
    ):
        super().__init__()
        first_planes = inputs = scale_channels(64, width)
        self.feature_channels = (first_planes << 3) * EXPANSION
        self.add_stem(channels, inputs)
        self.temporal_pool = TemporalPool() if temporal_pool else None
        every = 2 if alternate and max(blocks) >= ALTERNATE_FROM else 1
        for stage, count in enumerate(blocks):
            planes, layer = first_planes << stage, nn.ModuleList()
            for index in range(count):
                shift = make_shift() if make_shift and index % every == 0 else NoShift()
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(block(inputs, planes, stride, groups, base_width, shift))
                inputs = planes * EXPANSION
                if make_non_local and stage in NON_LOCAL_STAGES and index % 2 == 0:
                    layer[-1].non_local = make_non_local(inputs)
            setattr(self, f"layer{stage + 1}", layer)
        keep_variance(self)

    def add_stem(self, channels: int, outputs: int) -> None:
        self.conv1: nn.Module = nn.Conv2d(channels, outputs, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def stages(self, x: torch.Tensor, frames: int) -> list[torch.Tensor]:
        """The features of the four stages, with strides 4 to 32."""
        x, features = self.stem(x), []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            if layer is self.layer2 and self.temporal_pool is not None:
                x, frames = self.temporal_pool(x, frames), self.temporal_pool.frames_out(frames)
            for block in layer:
                x = block(x, frames)
                if block.non_local is not None:
                    x = block.non_local(x, frames)
            features.append(x)
        return features

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return self.stages(x, frames)[-1].mean((2, 3))


def resnet50(make_shift: Callable[[], nn.Module] | None = None, **options: object) -> ResNet:
    return ResNet((3, 4, 6, 3), make_shift, **options)


def resnet101(make_shift: Callable[[], nn.Module] | None = None, **options: object) -> ResNet:
    return ResNet((3, 4, 23, 3), make_shift, **options)


def resnext101_32x8d(make_shift: Callable[[], nn.Module] | None = None, **options: object) -> ResNet:
    return ResNet((3, 4, 23, 3), make_shift, groups=32, base_width=8, **options)
