"""The stack in NumPy; the convolution after it is ``shift_conv``'s."""

from __future__ import annotations

import numpy as np


def frame_stack(x: np.ndarray, frames: int, taps: int, first: int, dilation: int = 1) -> np.ndarray:
    """(N*frames, C, ...) to (N*frames, taps*C, ...): frames t + first + j*dilation, zeros beyond the clip."""
    clips = x.reshape(-1, frames, *x.shape[1:])
    parts = []
    for offset in range(first, first + taps * dilation, dilation):
        part = np.zeros_like(clips)
        for frame in range(frames):
            if 0 <= frame + offset < frames:
                part[:, frame] = clips[:, frame + offset]
        parts.append(part)
    return np.concatenate(parts, axis=2).reshape(len(x), -1, *x.shape[2:])
