"""From a decoded picture to the network's input."""

from __future__ import annotations

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.video.frame import Picture, to_rgb
from edgevid.video.transforms import Preprocess

FAST, EXACT = "fast", "exact"


class FramePreprocessor:
    """Callable that turns decoded pictures into inputs of a network, one thread at a time.

    ``method`` is how: ``"exact"`` converts the whole picture to RGB, then resizes it as Pillow does;
    ``"fast"`` reads the decoder's planes once. With ``exact`` every picture takes the exact way.
    """

    def __init__(self, preprocessing: Preprocessing, exact: bool = False) -> None:
        self.method = EXACT
        self._exact = Preprocess(preprocessing)

    def __call__(self, picture: Picture, out: np.ndarray | None = None) -> np.ndarray:
        """Preprocess a picture.

        Returns float32 (3, crop, crop), written into ``out`` if given. Raises ``VideoError`` for pixels
        that cannot be converted.
        """
        return self._exact(to_rgb(picture), out)
