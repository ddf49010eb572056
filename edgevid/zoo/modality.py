"""What a segment network reads of each segment: a frame, differences of frames, or optical flow.

Source: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2; stacks of five, as its code has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

STACK = 5
"""The flow fields, or differences of frames, that are stacked along the channels for one segment."""


@dataclass(frozen=True)
class Modality:
    """``channels`` of a segment of the clip ``(N, T, channels, H, W)``, and those that the backbone reads."""

    channels: int
    backbone_channels: int


MODALITIES = {
    "rgb": Modality(3, 3),
    "flow": Modality(2 * STACK, 2 * STACK),  # x and y of each field, the fields in order of time
    "rgb_difference": Modality(3 * (STACK + 1), 3 * STACK),  # six frames, of which five differences are made
}


def read_segments(clip: torch.Tensor, modality: str) -> torch.Tensor:
    """What the backbone reads of the clip: itself or, of RGB difference, each frame less the one before."""
    return clip[:, :, 3:] - clip[:, :, :-3] if modality == "rgb_difference" else clip
