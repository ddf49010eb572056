"""The filters of a resize: which samples of an axis make each of its pixels, and with what weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Filter(NamedTuple):
    """``weights``, float64 (pixels, taps), are of the samples from ``first``, int64 (pixels), on.

    Those of a pixel add up to 1; those of samples beyond the axis are 0.
    """

    first: np.ndarray
    weights: np.ndarray

    def dense(self, source: int) -> np.ndarray:
        """The weights of all ``source`` samples, (pixels, source)."""
        pixels, taps = self.weights.shape
        matrix = np.zeros((pixels, source + taps))
        np.put_along_axis(matrix, self.first[:, None] + np.arange(taps), self.weights, axis=1)
        return matrix[:, :source]


def triangle(source: int, resized: int, positions: np.ndarray) -> Filter:
    """Pillow's BILINEAR, which is antialiased: ``source`` samples are resized to ``resized`` pixels.

    Only the pixels at ``positions`` are wanted.
    """
    return _resize(source, resized, positions, 1, lambda x: 1.0 - x)


def cubic(source: int, resized: int, positions: np.ndarray, shift: float = 0.0) -> Filter:
    """BICUBIC of FFmpeg's scaler: Mitchell and Netravali's with b = 0 and c = 0.6.

    A pixel is made of the samples around ``shift`` samples after its own place.
    """
    if source == resized and not shift:
        return repeated(np.minimum(positions, source - 1), 0)

    def weight(x: np.ndarray) -> np.ndarray:
        return np.where(x < 1, (1.4 * x - 2.4) * x * x + 1, ((-0.6 * x + 3) * x - 4.8) * x + 2.4)

    return _resize(source, resized, positions, 2, weight, shift)


def repeated(positions: np.ndarray, log2: int) -> Filter:
    """Each sample is ``2**log2`` pixels."""
    return Filter(np.asarray(positions) >> log2, np.ones((len(positions), 1)))


def through(outer: Filter, inner: Callable[[np.ndarray], Filter]) -> Filter:
    """The filter that does what ``inner`` and then ``outer`` do; ``inner`` maps pixels to their filter."""
    begin = outer.first.min()
    taps = outer.weights.shape[1]
    each = inner(np.arange(begin, outer.first.max() + taps))
    starts = each.first[outer.first - begin]
    ends = each.first[outer.first - begin + taps - 1] + each.weights.shape[1]
    weights = np.zeros((len(starts), int((ends - starts).max())))
    pixels = np.arange(len(starts))
    for tap in range(taps):
        of_tap = outer.first - begin + tap
        for i in range(each.weights.shape[1]):
            places = each.first[of_tap] - starts + i
            weights[pixels, places] += outer.weights[:, tap] * each.weights[of_tap, i]
    return Filter(starts, weights)


def _resize(
    source: int,
    resized: int,
    positions: np.ndarray,
    reach: int,
    weight: Callable[[np.ndarray], np.ndarray],
    shift: float = 0.0,
) -> Filter:
    scale = source / resized
    size = max(1.0, scale)
    centers = (np.asarray(positions) + 0.5) * scale + shift
    first = np.clip(np.floor(centers - reach * size + 0.5), 0, source - 1).astype(np.int64)
    samples = first[:, None] + np.arange(int(2 * reach * size) + 2)
    distances = np.abs(samples + 0.5 - centers[:, None]) / size
    weights = np.where((distances < reach) & (samples < source), weight(distances), 0.0)
    return Filter(first, weights / weights.sum(axis=1, keepdims=True))
