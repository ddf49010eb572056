"""ChannelConv's C structure for NumPy arrays."""

from __future__ import annotations

import ctypes
from math import prod

import numpy as np

COUNTS = ("batch", "channels", "pixels", "filters", "taps", "stride", "pad_begin", "pad_end")
ARRAYS = ("x", "weights", "bias", "y")


class ChannelConv(ctypes.Structure):
    """The structure of channel_conv.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in COUNTS),
        ("unshared", ctypes.c_bool),
        *((name, ctypes.c_void_p) for name in ARRAYS),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
    )


def conv_of(x, weights, y, *, bias=None, stride=1, pads=(0, 0), low=-np.inf, high=np.inf):
    """The structure for ``x`` of (batch, channels, ...) and ``y`` of (batch, filters*outputs, ...).

    It points into the arrays, which must be contiguous float32 and outlive it.
    """
    arrays = {"x": x, "weights": weights, "bias": bias, "y": y}
    return ChannelConv(
        batch=len(x),
        channels=x.shape[1],
        pixels=prod(x.shape[2:]),
        filters=len(weights),
        taps=weights.shape[1],
        stride=stride,
        pad_begin=pads[0],
        pad_end=pads[1],
        unshared=weights.ndim == 3,
        low=low,
        high=high,
        **{name: None if array is None else array.ctypes.data for name, array in arrays.items()},
    )
