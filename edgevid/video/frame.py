"""One picture of a video, and when it is shown."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Frame(NamedTuple):
    """``image``: RGB uint8 (height, width, 3), as shown; ``time_s``: seconds after the first frame."""

    image: np.ndarray
    time_s: float
