"""A two-stream network: one stream reads RGB frames, the other optical flow.

Source: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2 ("Testing TSN"): a weighted average
of the scores before softmax, with weight 1 for the spatial and 1.5 for the temporal stream.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo import segments
from edgevid.zoo.modality import MODALITIES

FLOW_WEIGHT = 1.5


class TwoStream(nn.Module):
    """Clip ``(N, T, 13, H, W)``, RGB then five flow fields (x, y), to logits ``(N, classes)``.

    ``rgb`` and ``flow`` are segment networks; ``load_weights`` fills each from its own file.
    ``flow_weight`` is relative to a weight of 1 for RGB.
    """

    def __init__(self, rgb: nn.Module, flow: nn.Module, flow_weight: float = FLOW_WEIGHT) -> None:
        super().__init__()
        self.rgb, self.flow, self.flow_weight = rgb, flow, flow_weight

    def frame_logits(self, clip: torch.Tensor) -> torch.Tensor:
        """Logits of each frame, ``(N, T, classes)``."""
        frame, flow = self._split(clip)
        return self._fuse(self.rgb.frame_logits(frame), self.flow.frame_logits(flow))

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        frame, flow = self._split(clip)
        return self._fuse(self.rgb(frame), self.flow(flow))

    @staticmethod
    def _split(clip: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        channels = MODALITIES["rgb"].channels
        return clip[:, :, :channels], clip[:, :, channels:]

    def _fuse(self, rgb: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        return (rgb + flow * self.flow_weight) / (1 + self.flow_weight)


def build(num_classes: int, frames: int, flow_weight: float = FLOW_WEIGHT, **options: object) -> TwoStream:
    """Two networks of ``segments.build`` that differ only in their modality."""
    rgb = segments.build(num_classes, frames, modality="rgb", **options)
    flow = segments.build(num_classes, frames, modality="flow", **options)
    return TwoStream(rgb, flow, flow_weight)
