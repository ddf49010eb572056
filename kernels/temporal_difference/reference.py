"""What TemporalDifference computes, in numpy."""

from __future__ import annotations

import numpy as np


def temporal_difference(later, earlier, *, frames, causal):
    """``later[t+1] - earlier[t]`` at frame ``t``, if ``causal`` at ``t+1``; zeros at the one that is left."""
    later, earlier = (values.reshape(-1, frames, *values.shape[1:]) for values in (later, earlier))
    y = np.zeros_like(later)
    y[:, 1:] = later[:, 1:] - earlier[:, :-1]
    if not causal:
        y = np.roll(y, -1, axis=1)
    return y.reshape(-1, *y.shape[2:])


def temporal_difference_step(later, state, earlier):
    """``state`` is the frame before and a channel of ones, or zeros if there was none; gives the next too."""
    y = (later - state[:, :-1]) * state[:, -1:]
    return y, np.concatenate([earlier, np.ones_like(state[:, -1:])], axis=1)
