"""TemporalDifference in NumPy."""

from __future__ import annotations

import numpy as np


def temporal_difference(later, earlier, *, frames, causal):
    """``later[t+1] - earlier[t]`` at frame ``t``, if ``causal`` at ``t+1``; zeros at the remaining frame."""
    later, earlier = (values.reshape(-1, frames, *values.shape[1:]) for values in (later, earlier))
    y = np.zeros_like(later)
    y[:, 1:] = later[:, 1:] - earlier[:, :-1]
    if not causal:
        y = np.roll(y, -1, axis=1)
    return y.reshape(-1, *y.shape[2:])


def temporal_difference_step(later, state, earlier):
    """``y`` and the next state; ``state`` is the frame before and a valid flag: ones, or zeros at first."""
    y = (later - state[:, :-1]) * state[:, -1:]
    return y, np.concatenate([earlier, np.ones_like(state[:, -1:])], axis=1)
