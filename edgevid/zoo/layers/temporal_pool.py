"""Max-pooling over time, which halves the frames for the later stages of a network."""

from __future__ import annotations

import torch
from torch import nn


class TemporalPool(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T', C, H, W)``, ``T' = ceil(T / 2)``: over three frames, stride 2, centered.

    Frames beyond the clip are ignored, as in the 3x1x1 max-pool with padding 1 of TSM's code
    (``ops/temporal_shift.py``, TemporalPool); a maximum of frames needs no change of layout.
    """

    @staticmethod
    def frames_out(frames: int) -> int:
        return (frames + 1) // 2

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        if frames == 1:
            return x
        clips = x.unflatten(0, (-1, frames))
        # Beyond the clip, repeat the first and the last frame, which does not change the maximum.
        before, after = (
            torch.cat([clips[:, :1], clips[:, :-1]], 1),
            torch.cat([clips[:, 1:], clips[:, -1:]], 1),
        )
        neighbors = torch.maximum(before[:, ::2], after[:, ::2])
        return torch.maximum(neighbors, clips[:, ::2]).flatten(0, 1)
