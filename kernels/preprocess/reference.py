"""Preprocess in NumPy."""

from __future__ import annotations

import numpy as np


def preprocess(planes, rows, columns, color, low, high):
    """Resize, convert the color of and normalize one picture; returns (3, rows, columns).

    ``planes``: Y, U and V as numbers. ``rows`` and ``columns`` are the filters of luma and of chroma, as
    matrices (pixels, samples). Channel c of the result is ``color[c, :3] @ (Y, U, V) + color[c, 3]``, clipped
    to ``low[c]`` and ``high[c]``.
    """
    resized = [rows[i > 0] @ plane @ columns[i > 0].T for i, plane in enumerate(planes)]
    mixed = np.tensordot(color[:, :3], resized, axes=1) + color[:, 3, None, None]
    return np.clip(mixed, low[:, None, None], high[:, None, None])
