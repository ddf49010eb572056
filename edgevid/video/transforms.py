"""From an RGB frame to the network's input: resize, center crop, scale to [0, 1], normalize."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.specs.registry import check_choice

EXACT_BITS = 8
"""Fraction bits of a source coordinate in pixels; with 16 integer bits it still fits Pillow's float32."""


class Preprocess:
    """Callable that turns a frame into the input that a network was trained on.

    The short side is resized to ``short_side`` with antialiased bilinear interpolation (that is Pillow's
    BILINEAR), the long side by torchvision's rule ``int(short_side * long / short)``; the center is cropped
    with torchvision's rounding, padded with black if the crop is larger; pixels become
    ``(value / 255 - mean) / std``. ``mean`` and ``std`` are in the order of ``color`` (RGB or BGR).

    Columns are resized before rows, the order that Pillow had when the published networks were trained
    (newer ones choose by cost, which moves a quarter of the pixels by one level), and only the region that
    the crop needs is touched.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        check_choice("color order", preprocessing.color, ("RGB", "BGR"))
        self.preprocessing = preprocessing
        mean = np.asarray(preprocessing.mean, dtype=np.float64)
        std = np.asarray(preprocessing.std, dtype=np.float64)
        self._scale = (1.0 / (255.0 * std)).astype(np.float32)[:, None, None]
        self._shift = (mean / std).astype(np.float32)[:, None, None]

    def __call__(self, image: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Preprocess one upright RGB frame, uint8 (height, width, 3).

        Returns float32 (3, crop, crop), written into ``out`` if given.
        """
        return self.normalize(
            resize_and_crop(image, self.preprocessing.short_side, self.preprocessing.crop), out
        )

    def normalize(self, pixels: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """From RGB, uint8 (height, width, 3), to float32 (3, height, width), in ``out`` if given."""
        if self.preprocessing.color == "BGR":
            pixels = pixels[:, :, ::-1]
        out = np.multiply(pixels.transpose(2, 0, 1), self._scale, out=out)
        out -= self._shift
        return out


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize a whole uint8 (height, width, 3) image, columns before rows."""
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image  # 2 MB that the kernel does not need

    resized = Image.fromarray(np.ascontiguousarray(image))
    resized = resized.resize((width, image.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized.resize((width, height), Image.Resampling.BILINEAR))


def resize_and_crop(image: np.ndarray, short_side: int, crop: int) -> np.ndarray:
    """Resize the short side of a uint8 (height, width, 3) image and crop its center.

    Returns uint8 of shape (crop, crop, 3), possibly a view of ``image``.
    """
    height, width = image.shape[:2]
    new_width, new_height = resized_size(width, height, short_side)
    x, y = _plan(width, new_width, crop), _plan(height, new_height, crop)
    region = image[y.first : y.last, x.first : x.last]
    if (width, height) != (new_width, new_height):
        from PIL import Image  # 2 MB that the kernel does not need

        rows = y.last - y.first
        resized = Image.fromarray(np.ascontiguousarray(region))
        resized = resized.resize((x.length, rows), Image.Resampling.BILINEAR, box=(x.start, 0, x.stop, rows))
        resized = resized.resize(
            (x.length, y.length), Image.Resampling.BILINEAR, box=(0, y.start, x.length, y.stop)
        )
        region = np.asarray(resized)
    region = region[y.skip : y.skip + y.kept, x.skip : x.skip + x.kept]
    if (y.kept, x.kept) == (crop, crop):
        return region
    padded = np.zeros((crop, crop, 3), dtype=np.uint8)
    padded[y.pad : y.pad + y.kept, x.pad : x.pad + x.kept] = region
    return padded


def resized_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height in pixels after ``torchvision.transforms.Resize(short_side)``."""
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def crop_window(resized: int, crop: int) -> tuple[int, int, int]:
    """A center crop of ``resized`` pixels: the first that it keeps, how many, and the padding before them."""
    begin = round((resized - crop) / 2.0) if resized >= crop else 0
    kept = min(resized, crop)
    return begin, kept, (crop - kept) // 2


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized and cropped without touching what the crop does not need.

    Pixels ``first`` to ``last`` of the source are read; ``start`` to ``stop`` of those (fractions of a pixel)
    become ``length`` pixels; ``kept`` of those after ``skip`` are the crop, placed after ``pad``.
    """

    first: int
    last: int
    start: float
    stop: float
    length: int
    skip: int
    kept: int
    pad: int


@lru_cache(maxsize=64)
def _plan(source: int, resized: int, crop: int) -> _Axis:
    """Plan an axis of ``source`` pixels that is resized to ``resized`` and cropped or padded to ``crop``."""
    begin, kept, pad = crop_window(resized, crop)
    if source == resized:
        return _Axis(begin, begin + kept, 0, kept, kept, 0, kept, pad)
    # The window is widened to places whose source coordinate Pillow can hold exactly; any other place
    # would shift the filter by a rounding error and change pixels.
    step = resized // math.gcd(source << EXACT_BITS, resized)
    low = begin // step * step
    high = -(-(begin + kept) // step) * step
    reach = math.ceil(max(1.0, source / resized)) + 1  # of the triangle filter, in source pixels
    first = max(0, low * source // resized - reach)
    last = min(source, -(-high * source // resized) + reach)
    return _Axis(
        first=first,
        last=last,
        start=low * source / resized - first,
        stop=high * source / resized - first,
        length=high - low,
        skip=begin - low,
        kept=kept,
        pad=pad,
    )
