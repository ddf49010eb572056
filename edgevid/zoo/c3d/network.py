"""C3D: eight 3x3x3 convolutions, max-pools that halve time and space, and two fully connected layers.

Source: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015, figure 3,
without batch norm. Parameter names are those of MMAction2's code.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.pair_max import PairMax
from edgevid.zoo.segments import FeatureAverage

FRAMES, SIZE = 16, 112
GROUPS = (
    (("1a", 64),),
    (("2a", 128),),
    (("3a", 256), ("3b", 256)),
    (("4a", 512), ("4b", 512)),
    (("5a", 512), ("5b", 512)),
)
"""The convolutions between two max-pools, and their channels."""

HIDDEN = 4096


class C3D(nn.Module):
    """``(N*16, 3, 112, 112)`` frames to ``(N, 4096)`` features of each clip; another size is refused.

    ``fc6`` has a weight per position of the last 4x4 pixels. The first max-pool does not pool over time, the
    last one pads its 7x7 pixels to get 4x4.
    """

    feature_channels = HIDDEN

    def __init__(self, dropout: float) -> None:
        super().__init__()
        inputs = 3
        for name, channels in (convolution for group in GROUPS for convolution in group):
            setattr(self, f"conv{name}", SpatiotemporalConv(inputs, channels, (3, 3, 3), padding=(1, 1)))
            inputs = channels
        self.halve = nn.MaxPool2d(2)
        self.halve_all = nn.MaxPool2d(2, padding=1)
        self.halve_frames = PairMax()
        self.fc6 = nn.Linear(inputs * 4 * 4, HIDDEN)
        self.fc7 = nn.Linear(HIDDEN, HIDDEN)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        if frames != FRAMES or x.shape[-2:] != (SIZE, SIZE):
            height, width = x.shape[-2:]
            raise EdgevidError(
                f"C3D takes {FRAMES} frames of {SIZE}x{SIZE} pixels, not {frames} of {height}x{width}"
            )
        for index, group in enumerate(GROUPS):
            for name, _ in group:
                x = self.relu(getattr(self, f"conv{name}")(x, frames))
            x = (self.halve_all if group is GROUPS[-1] else self.halve)(x)
            if index > 0:
                x, frames = self.halve_frames(x, frames), self.halve_frames.frames_out(frames)
        x = self.dropout(self.relu(self.fc6(x.flatten(1))))
        return self.relu(self.fc7(x))


def build(num_classes: int, frames: int = FRAMES, dropout: float = 0.5) -> FeatureAverage:
    return FeatureAverage(C3D(dropout), num_classes, frames, dropout)
