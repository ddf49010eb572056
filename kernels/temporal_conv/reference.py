"""TemporalConv in NumPy."""

from __future__ import annotations

import numpy as np


def temporal_conv(x, weights, bias=None, *, frames, past, state=None, low=-np.inf, high=np.inf):
    """``y`` like ``x``, (batch*frames, channels, ...), and the last ``past`` frames for the next call.

    ``weights`` is (channels, taps), ``state`` (batch, past, channels, ...): the frames before the clip.
    """
    clips = x.reshape(-1, frames, *x.shape[1:])
    taps = weights.shape[1]
    if state is None:
        state = np.zeros_like(clips, shape=(len(clips), past, *x.shape[1:]))
    history = np.concatenate([state, clips], axis=1)
    after = np.zeros_like(clips, shape=(len(clips), taps - 1 - past, *x.shape[1:]))
    padded = np.concatenate([history, after], axis=1)
    per_channel = (-1, *[1] * (x.ndim - 2))
    y = sum(weights[:, tap].reshape(per_channel) * padded[:, tap : tap + frames] for tap in range(taps))
    if bias is not None:
        y = y + bias.reshape(per_channel)
    return y.reshape(x.shape).clip(low, high), history[:, frames:]
