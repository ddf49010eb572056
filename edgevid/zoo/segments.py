"""Networks that see a clip frame by frame and average the frames' logits: TSN, and TSM on the same backbones.

Sources: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1 (average consensus); Lin, Gan, Han,
"TSM", ICCV 2019, section 3.2 (shift in the residual branch, 1/8 of the channels each way), 4.2 (online).
"""

from __future__ import annotations

import functools

import torch
from torch import nn

from edgevid.zoo.mobilenet_v2 import mobilenet_v2
from edgevid.zoo.resnet import resnet50, resnet101, resnext101_32x8d
from edgevid.zoo.shift import TemporalShift

BACKBONES = {
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnext101_32x8d": resnext101_32x8d,
}


class SegmentNetwork(nn.Module):
    """Clip ``(N, T, 3, H, W)`` to logits ``(N, classes)``: the mean over frames of ``frame_logits``."""

    def __init__(self, backbone: nn.Module, num_classes: int, frames: int, dropout: float):
        super().__init__()
        self.frames = frames
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.feature_channels, num_classes)
        nn.init.normal_(self.classifier.weight, 0, 0.001)
        nn.init.zeros_(self.classifier.bias)

    def frame_logits(self, clip: torch.Tensor) -> torch.Tensor:
        """Logits of each frame, ``(N, T, classes)``; what a causal network answers when it is streamed."""
        clips, frames = clip.shape[:2]
        features = self.backbone(clip.flatten(0, 1), frames)
        return self.classifier(self.dropout(features)).unflatten(0, (clips, frames))

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.frame_logits(clip).mean(1)


def build(
    num_classes: int,
    frames: int,
    backbone: str,
    shift: str | None,
    shift_div: int = 8,
    dropout: float = 0.5,
) -> SegmentNetwork:
    """A backbone without shift (TSN), or with one of ``1/shift_div`` of the channels: two-way or causal."""
    make_shift = functools.partial(TemporalShift, shift, shift_div) if shift else None
    return SegmentNetwork(BACKBONES[backbone](make_shift), num_classes, frames, dropout)
