"""Max-pooling over time, which halves the frames that the later stages of a network see."""

from __future__ import annotations

import torch
from torch import nn


class TemporalPool(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T', C, H, W)``, ``T' = ceil(T / 2)``: over three frames, stride 2, centred.

    Beyond the clip stands nothing, as in the 3x1x1 max-pool with padding 1 of TSM's code
    (``ops/temporal_shift.py``, TemporalPool); written as a maximum of frames, which needs no other layout.
    """

    @staticmethod
    def frames_out(frames: int) -> int:
        return (frames + 1) // 2

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        if frames == 1:
            return x
        clips = x.unflatten(0, (-1, frames))
        # The first and the last frame once more, which change no maximum, stand for nothing beyond the clip.
        before, after = (
            torch.cat([clips[:, :1], clips[:, :-1]], 1),
            torch.cat([clips[:, 1:], clips[:, -1:]], 1),
        )
        neighbours = torch.maximum(before[:, ::2], after[:, ::2])
        return torch.maximum(neighbours, clips[:, ::2]).flatten(0, 1)
