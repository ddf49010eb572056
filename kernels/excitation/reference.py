"""ChannelMean, ImageMean and Gate in NumPy, on plain tensors."""

from __future__ import annotations

import numpy as np


def channel_mean(x):
    return x.mean(axis=1, keepdims=True, dtype=np.float64)


def image_mean(x):
    return x.mean(axis=(2, 3), keepdims=True, dtype=np.float64)


def gate(x, of_channels, of_pixels=None):
    return x * (of_channels + (0 if of_pixels is None else of_pixels))


def in_blocks(x, block):
    """``x`` in blocks of channels, with the shape of ``x``."""
    images, channels, *image = x.shape
    groups = x.reshape(images, channels // block, block, *image)
    return np.ascontiguousarray(np.moveaxis(groups, 2, -1)).reshape(x.shape)
