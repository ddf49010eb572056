"""Preprocess in NumPy: the filters of the resize, and the definition of the kernel."""

from __future__ import annotations

import numpy as np


def triangle(source, resized, positions):
    """The antialiased bilinear filter (Pillow's BILINEAR), float64 (positions, source).

    Row i has the weights of the pixel at ``positions[i]`` of an axis of ``source`` pixels that is resized to
    ``resized``; their sum is 1.
    """
    scale = source / resized
    centers = (np.asarray(positions) + 0.5) * scale
    distances = np.abs(np.arange(source) + 0.5 - centers[:, None])
    weights = np.maximum(0.0, 1.0 - distances / max(1.0, scale))
    return weights / weights.sum(axis=1, keepdims=True)


def shared(weights, log2):
    """The weights of samples that ``2**log2`` neighboring pixels share, as chroma's are."""
    size = 1 << log2
    padded = np.pad(weights, ((0, 0), (0, -weights.shape[1] % size)))
    return padded.reshape(len(weights), -1, size).sum(axis=2)


def preprocess(planes, subsampling, rows, columns, color, low, high):
    """Resize, convert the color of and normalize one picture; returns (3, rows, columns).

    ``planes``: Y, U and V as numbers; a sample of U and V counts for ``2**subsampling[0]`` rows and
    ``2**subsampling[1]`` columns of pixels. ``rows`` and ``columns`` are filters over pixels. Channel c of
    the result is ``color[c, :3] @ (Y, U, V) + color[c, 3]``, clipped to ``low[c]`` and ``high[c]``.
    """
    resampled = [
        shared(rows, log2_rows) @ plane @ shared(columns, log2_columns).T
        for plane, (log2_rows, log2_columns) in zip(planes, ((0, 0), subsampling, subsampling))
    ]
    mixed = np.tensordot(color[:, :3], resampled, axes=1) + color[:, 3, None, None]
    return np.clip(mixed, low[:, None, None], high[:, None, None])
