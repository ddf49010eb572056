"""Which frames and which part of the image of a video a network is trained on and tested on.

Source: Wang et al., "Temporal Segment Networks", ECCV 2016, sections 3.1 (segments) and 3.2 (corner cropping
and scale jittering).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgevid.specs import Preprocessing

if TYPE_CHECKING:
    import torch

MAX_DISTORTION = 1
"""Height and width of a crop are neighbors in the list of scales, or the same one (TSM's code)."""

PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
"""The corners and the center, as shares of the margin."""


@dataclass(frozen=True)
class Box:
    """A part of an image in pixels."""

    top: int
    left: int
    height: int
    width: int


def random_segments(total_frames: int, frames: int, generator: np.random.Generator) -> np.ndarray:
    """A random frame of each of ``frames`` equal segments; a short video repeats frames in order."""
    edges = np.arange(frames + 1) * total_frames // frames
    lengths = np.maximum(1, np.diff(edges))
    return edges[:-1] + (generator.random(frames) * lengths).astype(np.int64)


def center_segments(total_frames: int, frames: int) -> np.ndarray:
    """The center frame of each segment, as ``video/sampling.py`` takes them."""
    tick = total_frames / frames
    return (tick / 2.0 + tick * np.arange(frames)).astype(np.int64)


def random_crop(height: int, width: int, scales: Sequence[float], generator: np.random.Generator) -> Box:
    """A crop at a corner or in the center; its sides are shares of the image's short side."""
    sides = [round(min(height, width) * scale) for scale in scales]
    first = int(generator.integers(len(sides)))
    low, high = max(0, first - MAX_DISTORTION), min(len(sides), first + MAX_DISTORTION + 1)
    second = int(generator.integers(low, high))
    down, right = PLACES[generator.integers(len(PLACES))]
    tall, wide = sides[first], sides[second]
    return Box(round((height - tall) * down), round((width - wide) * right), tall, wide)


def center_crop(height: int, width: int, crop: int) -> Box:
    """The crop in the center, rounded as torchvision does."""
    return Box(round((height - crop) / 2), round((width - crop) / 2), crop, crop)


def cut(frames: np.ndarray, box: Box, size: int, mirror: bool = False) -> torch.Tensor:
    """The same part of each frame, ``(T, H, W, 3)``, resized to ``(T, 3, size, size)``; uint8."""
    import torch

    part = frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
    pixels = torch.from_numpy(np.ascontiguousarray(part[:, :, ::-1] if mirror else part)).permute(0, 3, 1, 2)
    if (box.height, box.width) != (size, size):
        pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return pixels


def normalize(pixels: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """RGB from 0 to 255, ``(..., 3, H, W)``, as the network's float32 input."""
    import torch

    if preprocessing.color == "BGR":
        pixels = pixels.flip(-3)
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    return (pixels / 255 - mean) / std
