"""TemporalShift in NumPy."""

from __future__ import annotations

import numpy as np


def temporal_shift(x: np.ndarray, frames: int, fold: int, first: int, second: int) -> np.ndarray:
    """``x`` (images, channels, ...): the first two groups of ``fold`` channels come from other frames."""
    clips = x.reshape(-1, frames, *x.shape[1:])
    y = clips.copy()
    for start, offset in ((0, first), (fold, second)):
        group = slice(start, start + fold)
        for frame in range(frames):
            inside = 0 <= frame + offset < frames
            y[:, frame, group] = clips[:, frame + offset, group] if inside else 0
    return y.reshape(x.shape)


def temporal_shift_step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One frame of the causal shift: ``y`` and the next state."""
    fold = state.shape[1]
    return np.concatenate([state, x[:, fold:]], axis=1), x[:, :fold].copy()
