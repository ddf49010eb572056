"""Frames as the network saw them, enlarged, with a heat map over each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgevid.specs import Preprocessing

SIDE = 448
"""Pixels that a frame is enlarged to, at least half of them."""
STRIP, MARGIN, FONT_SIZE = 32, 8, 18
COLUMNS = 2

OPACITY = 0.75
POSITIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
ANCHORS = ((40, 0, 90), (150, 0, 140), (230, 40, 50), (250, 150, 0), (255, 250, 120))
"""From weak to strong: darker to lighter, so that the order survives without color."""
LEVELS = np.linspace(0, 1, 256)
COLORS = np.stack([np.interp(LEVELS, POSITIONS, channel) for channel in zip(*ANCHORS)], axis=1)
WEIGHTS = (OPACITY * np.sqrt(LEVELS)).astype(np.float32)
WEIGHTED_COLORS = (COLORS * WEIGHTS[:, None]).astype(np.float32)


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
    """``strength``, ``(h, w)`` from 0 to 1, in colors over an RGB image in gray."""
    size = (image.shape[1], image.shape[0])
    heat = Image.fromarray(strength.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    levels = np.round(255 * np.clip(np.asarray(heat), 0, 1)).astype(np.uint8)
    gray = np.asarray(Image.fromarray(image).convert("L"))
    under = gray * (1 - WEIGHTS)[levels]
    return (under[..., None] + WEIGHTED_COLORS[levels] + 0.5).astype(np.uint8)


def panel(data: np.ndarray, strength: np.ndarray, caption: str, preprocessing: Preprocessing) -> np.ndarray:
    """The frame, and it under its map, side by side over a caption: RGB uint8, sides even for H.264."""
    image = as_seen(data, preprocessing)
    height, width = image.shape[:2]
    canvas = Image.new("RGB", (2 * width + MARGIN, height + STRIP + height % 2), "white")
    canvas.paste(Image.fromarray(image), (0, 0))
    canvas.paste(Image.fromarray(overlay(image, strength)), (width + MARGIN, 0))
    font, middle = ImageFont.load_default(FONT_SIZE), (height + canvas.height) / 2
    ImageDraw.Draw(canvas).text((MARGIN, middle), caption, "black", font, anchor="lm")
    return np.asarray(canvas)


def sheet(panels: Sequence[np.ndarray]) -> np.ndarray:
    """All panels at half their size, in two columns."""
    small = [Image.fromarray(each).reduce(2) for each in panels]
    width, height = small[0].width + 2 * MARGIN, small[0].height
    rows = -(-len(small) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * width - 2 * MARGIN, rows * height), "white")
    for number, each in enumerate(small):
        canvas.paste(each, (number % COLUMNS * width, number // COLUMNS * height))
    return np.asarray(canvas)


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
