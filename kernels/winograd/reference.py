"""The definition of WinogradConv in NumPy, and the transform of the filters, done once.

Source: Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.3: F(4x4, 3x3).
"""

from __future__ import annotations

import numpy as np

POINTS = (0.5**0.5, 2.0**0.5)
"""The finite points are 0 and these two with both signs; the last is infinity. As in transform.h."""


def filter_matrix(points: tuple[float, float] = POINTS) -> np.ndarray:
    """G (6, 3): ``G @ taps`` is a filter of three taps at the six points, over the products of distances."""
    a, b = points
    rows = [[1 / (a * a * b * b), 0.0, 0.0]]
    for point, partner in ((a, b), (b, a)):
        scale = 2 * point**2 * (point**2 - partner**2)
        rows += [[1 / scale, sign * point / scale, point**2 / scale] for sign in (1, -1)]
    return np.array([*rows, [0.0, 0.0, 1.0]])


def filters_to_points(weights: np.ndarray, points: tuple[float, float] = POINTS) -> np.ndarray:
    """Filters (outputs, inputs, 3, 3) at the points: float64 (36, outputs, inputs)."""
    g = filter_matrix(points)
    at = np.einsum("pr,oirc,qc->pqoi", g, weights.astype(np.float64), g, optimize=True)
    return at.reshape(36, *weights.shape[:2])


def points_to_blocks(weights: np.ndarray, block: int) -> np.ndarray:
    """(36, outputs, inputs) as (36, outputs / block, inputs / block, block in, block out), same shape."""
    count, outputs, inputs = weights.shape
    blocks = weights.reshape(count, outputs // block, block, inputs // block, block)
    return np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2), np.float32).reshape(weights.shape)


def filters_from_blocks(weights: np.ndarray, block: int) -> np.ndarray:
    """Plain order from ONNX Runtime's (outputs / block, inputs / block, 3, 3, block in, block out)."""
    outputs, inputs = weights.shape[:2]
    blocks = weights.reshape(outputs // block, inputs // block, 3, 3, block, block)
    return blocks.transpose(0, 5, 1, 4, 2, 3).reshape(weights.shape)


def conv3x3(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """The direct convolution with zero padding of one pixel, in float64."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    y = np.einsum("nchwrs,ocrs->nohw", windows, weights.astype(np.float64), optimize=True)
    if bias is not None:
        y += bias[:, None, None]
    if residual is not None:
        y += residual
    return np.clip(y, low, high)
