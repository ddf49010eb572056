"""The depthwise convolution after the 1x1 convolution, in NumPy."""

from __future__ import annotations

import numpy as np


def depthwise3x3(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    stride: int = 1,
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """Each channel's 3x3 convolution with zero padding, in float64; weights are (channels, 1, 3, 3)."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("nchwrs,crs->nchw", windows, weights[:, 0].astype(np.float64))
    return np.clip(y + bias[:, None, None], low, high)


def depthwise_to_blocks(weights: np.ndarray, block: int) -> np.ndarray:
    """(channels, 1, 3, 3) as (channels / block, 3, 3, block), same shape."""
    blocks = weights.reshape(len(weights) // block, block, 3, 3)
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1)).reshape(weights.shape)
