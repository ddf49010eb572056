"""ChannelConv in NumPy."""

from __future__ import annotations

import numpy as np


def channel_conv(x, weights, bias=None, *, stride=1, pads=(0, 0), low=-np.inf, high=np.inf):
    """Map ``x``, (batch, channels, ...), to (batch, filters*outputs, ...), the outputs of filter 0 first.

    ``weights`` is (filters, taps) and ``bias`` (filters); without shared weights they are
    (filters, taps, outputs) and (filters, outputs).
    """
    planes = x.reshape(*x.shape[:2], -1)
    padded = np.pad(planes, ((0, 0), pads, (0, 0)))
    taps = weights.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps, axis=1)[:, ::stride]
    equation = "nmpl,flm->nfmp" if weights.ndim == 3 else "nmpl,fl->nfmp"
    y = np.einsum(equation, windows, weights)
    if bias is not None:
        y = y + (bias[..., None] if bias.ndim == 2 else bias[:, None, None])
    return y.reshape(len(x), -1, *x.shape[2:]).clip(low, high)
