"""The input of a segment network for each segment: a frame, differences of frames, or optical flow.

Source: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2; stacks of five, as in its code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

STACK = 5
"""The number of flow fields, or frame differences, stacked along the channels of one segment."""


@dataclass(frozen=True)
class Modality:
    """The channels of a segment in the clip ``(N, T, channels, H, W)``, and those of the backbone's input."""

    channels: int
    backbone_channels: int


MODALITIES = {
    "rgb": Modality(3, 3),
    "flow": Modality(2 * STACK, 2 * STACK),  # x and y of each field, the fields in order of time
    "rgb_difference": Modality(3 * (STACK + 1), 3 * STACK),  # six frames, five differences
}


def read_segments(clip: torch.Tensor, modality: str) -> torch.Tensor:
    """The backbone's input: the clip or, for RGB difference, each frame minus the one before."""
    return clip[:, :, 3:] - clip[:, :, :-3] if modality == "rgb_difference" else clip
