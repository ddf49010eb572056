"""One frame: a digit at a pose, over a background."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

BORDER = 2
"""Empty pixels around the 8x8 of a digit, in which it fades out."""

PATCHES = 5
DARK, BRIGHT = (30, 110), (150, 256)
"""Ranges of the background's and of the digit's colors."""


class Pose(NamedTuple):
    """``x``, ``y``: the center, and ``size``: the height, as shares of the picture; ``angle``: clockwise."""

    x: float
    y: float
    size: float
    angle: float


class Scene:
    """What stays the same in a video: a background of soft patches, and the color of its digits."""

    def __init__(self, random: np.random.Generator, side: int) -> None:
        patches = random.integers(*DARK, (PATCHES, PATCHES, 3)).astype(np.uint8)
        smooth = Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC)
        self._background = np.asarray(smooth, dtype=np.float32)
        self._color = random.integers(*BRIGHT, 3).astype(np.float32)

    def draw(self, digit: np.ndarray | None, pose: Pose) -> np.ndarray:
        """RGB uint8 ``(side, side, 3)``; ``digit``: uint8 ``(8, 8)``, None for the background alone."""
        if digit is None:
            return self._background.astype(np.uint8)
        opacity = _placed(digit, pose, len(self._background)).astype(np.float32)[..., None] / 255
        return (self._background + opacity * (self._color - self._background)).round().astype(np.uint8)


def _placed(digit: np.ndarray, pose: Pose, side: int) -> np.ndarray:
    """The digit scaled, turned and moved, uint8 ``(side, side)``."""
    padded = np.pad(digit, BORDER)
    step = len(digit) / (pose.size * side)  # pixels of the digit for each of the picture
    cos, sin = math.cos(pose.angle) * step, math.sin(pose.angle) * step
    x, y, center = pose.x * side, pose.y * side, len(padded) / 2
    # Pillow asks where in the digit a pixel of the picture comes from.
    to_digit = (cos, sin, center - cos * x - sin * y, -sin, cos, center + sin * x - cos * y)
    image = Image.fromarray(padded).transform(
        (side, side), Image.Transform.AFFINE, to_digit, Image.Resampling.BICUBIC
    )
    return np.asarray(image)
