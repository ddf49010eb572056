"""TemporalConv's C structure for NumPy arrays."""

from __future__ import annotations

import ctypes

import numpy as np

COUNTS = ("batch", "frames", "channels", "pixels", "block", "taps", "past")
ARRAYS = ("x", "weights", "bias", "y", "state", "next_state")


class TemporalConv(ctypes.Structure):
    """The structure of temporal_conv.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in COUNTS),
        *((name, ctypes.c_void_p) for name in ARRAYS),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
    )


def conv_of(x, weights, y, *, frames, past, bias=None, state=None, next_state=None, low=-np.inf, high=np.inf):
    """The structure for ``x`` of (frames, channels, H, W), or (frames, channels/block, H, W, block).

    It points into the arrays, which must be contiguous float32 and outlive it.
    """
    block = x.shape[4] if x.ndim == 5 else 1
    arrays = {"x": x, "weights": weights, "bias": bias, "y": y, "state": state, "next_state": next_state}
    return TemporalConv(
        batch=len(x) // frames,
        frames=frames,
        channels=x.shape[1] * block,
        pixels=x.shape[2] * x.shape[3],
        block=block,
        taps=weights.shape[1],
        past=past,
        low=low,
        high=high,
        **{name: None if array is None else array.ctypes.data for name, array in arrays.items()},
    )
