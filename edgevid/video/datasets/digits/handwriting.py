"""Real digits: 1,797 of 8x8 pixels, which scikit-learn has with it (Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from edgevid.video.datasets.dataset import DatasetError

HELD_OUT_EVERY = 4
"""Of each digit's images, every fourth is for tests, whatever the seed."""

BRIGHTEST = 16


class Handwriting:
    """The digits of a split, "train" or "test"; no digit is in both. Raises ``DatasetError``."""

    def __init__(self, split: str) -> None:
        images, values = _digits()
        self.indices: dict[int, np.ndarray] = {}
        self._images = images
        for value in range(10):
            indices = np.flatnonzero(values == value)
            is_test = np.arange(len(indices)) % HELD_OUT_EVERY == 0
            self.indices[value] = indices[is_test if split == "test" else ~is_test]

    def pick(self, random: np.random.Generator, values: Sequence[int]) -> np.ndarray:
        """An image of one of ``values``, uint8 ``(8, 8)``."""
        return self._images[random.choice(self.indices[random.choice(values)])]


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 ``(N, 8, 8)``, and the digits that they show ``(N,)``."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DatasetError(
            "the digits are those of scikit-learn, which is not installed: pip install 'edgevid[datasets]'"
        ) from None
    digits = load_digits()
    return (digits.images * (255 / BRIGHTEST)).round().astype(np.uint8), digits.target
