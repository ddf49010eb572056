"""The definition of ShiftConv in NumPy, and ONNX Runtime's blocked layout."""

from __future__ import annotations

import numpy as np


def pointwise(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """The 1x1 convolution of an already shifted ``x``, in float64."""
    y = np.einsum("nchw,oc->nohw", x.astype(np.float64), weights[:, :, 0, 0].astype(np.float64))
    if bias is not None:
        y += bias[:, None, None]
    if residual is not None:
        y += residual
    return np.clip(y, low, high)


def to_blocks(x: np.ndarray, block: int) -> np.ndarray:
    """(images, channels, h, w) with the channels of a block adjacent, in the same shape."""
    images, channels, height, width = x.shape
    blocks = x.reshape(images, channels // block, block, height, width)
    return np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2)).reshape(x.shape)


def from_blocks(x: np.ndarray, block: int) -> np.ndarray:
    images, channels, height, width = x.shape
    blocks = x.reshape(images, channels // block, height, width, block)
    return np.ascontiguousarray(blocks.transpose(0, 1, 4, 2, 3)).reshape(x.shape)


def weights_to_blocks(weights: np.ndarray, block: int) -> np.ndarray:
    """(outputs, inputs, 1, 1) as (outputs / block, inputs / block, block in, block out), same shape."""
    outputs, inputs = weights.shape[:2]
    blocks = weights.reshape(outputs // block, block, inputs // block, block)
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1)).reshape(weights.shape)
