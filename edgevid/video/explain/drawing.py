"""Frames as the network saw them, enlarged, with a heat map over each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgevid.specs import Preprocessing

SIDE = 448
"""Pixels that a frame is enlarged to, at least half of them."""
STRIP, MARGIN, FONT_SIZE = 32, 8, 18
OPACITY = 0.65
COLUMNS = 2
POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
COLORS = np.array([(40, 0, 90), (150, 0, 140), (230, 40, 50), (250, 150, 0), (255, 250, 120)], np.float64)
"""From weak to strong: darker to lighter, so that the order survives without color."""


def strengths(maps: np.ndarray) -> np.ndarray:
    """``maps`` from 0, for what does not speak for the class, to 1, for the largest value of all frames."""
    positive = np.maximum(maps, 0)
    return positive / max(float(positive.max(initial=0)), np.finfo(np.float32).tiny)


def as_seen(data: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A network's input, float32 ``(3, crop, crop)``, as RGB uint8, enlarged by a whole number."""
    std, mean = (np.array(values)[:, None, None] for values in (preprocessing.std, preprocessing.mean))
    pixels = (data * std + mean)[:: -1 if preprocessing.color == "BGR" else 1]
    image = np.clip(255 * pixels + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    factor = max(1, SIDE // image.shape[0])
    side = image.shape[0] * factor
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def overlay(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """``strength``, ``(h, w)`` from 0 to 1, over an RGB image; where it is 0 the image stays as it is."""
    size = (image.shape[1], image.shape[0])
    heat = Image.fromarray(strength.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    values = np.clip(np.asarray(heat), 0, 1)[..., None]
    color = np.concatenate([np.interp(values, POSITIONS, channel) for channel in COLORS.T], axis=-1)
    opacity = OPACITY * np.sqrt(values)
    return np.round(image * (1 - opacity) + color * opacity).astype(np.uint8)


def panel(data: np.ndarray, strength: np.ndarray, caption: str, preprocessing: Preprocessing) -> np.ndarray:
    """The frame and the frame under its map side by side over a caption: RGB uint8, sides even for H.264."""
    image = as_seen(data, preprocessing)
    pictures = np.concatenate([image, overlay(image, strength)], axis=1)
    height = STRIP + pictures.shape[0] % 2
    strip = Image.new("RGB", (pictures.shape[1], height), "white")
    font = ImageFont.load_default(FONT_SIZE)
    ImageDraw.Draw(strip).text((MARGIN, height / 2), caption, "black", font, anchor="lm")
    return np.concatenate([pictures, np.asarray(strip)])


def sheet(panels: Sequence[np.ndarray]) -> np.ndarray:
    """All panels at half their size, in two columns."""
    small = [np.asarray(Image.fromarray(each).reduce(2)) for each in panels]
    if len(small) % COLUMNS:
        small.append(np.full_like(small[0], 255))
    rows = [np.concatenate(small[i : i + COLUMNS], axis=1) for i in range(0, len(small), COLUMNS)]
    return np.concatenate(rows)


def mosaic(features: np.ndarray, rows: int = 8, columns: int = 12, tile: int = 64) -> np.ndarray:
    """Of feature maps ``(frames, C, h, w)`` the most active channels, a row for each of the first frames."""
    channels = np.argsort(-np.abs(features).mean((0, 2, 3)), kind="stable")[:columns]
    chosen = features[:rows, channels]
    low, high = chosen.min(), chosen.max()
    gray = np.round(255 * (chosen - low) / max(high - low, np.finfo(np.float32).tiny)).astype(np.uint8)
    rows_of_tiles = [np.concatenate([_tile(each, tile) for each in row], axis=1) for row in gray]
    return np.concatenate(rows_of_tiles)


def _tile(gray: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(gray).resize((side, side), Image.Resampling.NEAREST))
