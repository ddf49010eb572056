"""From a decoded picture to the network's input."""

from __future__ import annotations

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.video.frame import Picture, to_rgb
from edgevid.video.planes import PlanesPreprocessor
from edgevid.video.transforms import Preprocess

FAST, EXACT = "fast", "exact"


class FramePreprocessor:
    """Callable that turns decoded pictures into inputs of a network, one thread at a time.

    ``"fast"`` reads the decoder's planes once; ``"exact"`` converts the whole picture to RGB, then resizes
    it with Pillow. Pictures that the kernel cannot read take the exact way, and with ``exact`` all do.
    ``method`` names the way of the pictures so far; it is ``"fast"`` if any went that way.
    """

    def __init__(self, preprocessing: Preprocessing, exact: bool = False) -> None:
        self.method = EXACT
        self._exact = Preprocess(preprocessing)
        self._fast = None if exact else PlanesPreprocessor(preprocessing)

    def __call__(self, picture: Picture, out: np.ndarray | None = None) -> np.ndarray:
        """Preprocess a picture.

        Returns float32 (3, crop, crop), written into ``out`` if given. Raises ``VideoError`` for pixels
        that cannot be converted.
        """
        if self._fast is not None and (pixels := self._fast(picture, out)) is not None:
            self.method = FAST
            return pixels
        return self._exact(to_rgb(picture), out)
