"""The maximum over pairs of frames, which halves the frames for the later stages of a network."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.errors import EdgevidError


class PairMax(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*floor(T / 2), C, H, W)``: a max-pool of 2x1x1 with a stride of 2.

    An odd last frame is dropped. Raises ``EdgevidError`` for a single frame.
    """

    def frames_out(self, frames: int) -> int:
        return frames // 2

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        pairs = self.frames_out(frames)
        if not pairs:
            raise EdgevidError(
                "the maximum over pairs of frames needs at least two where the network pools over time"
            )
        clips = x.unflatten(0, (-1, frames))
        if isinstance(frames, torch.SymInt) or frames % 2:
            # Not a slice: it is contiguous only if it is the whole clip, which an export cannot assume.
            clips = clips.index_select(1, torch.arange(2 * pairs, device=x.device))
        return clips.unflatten(1, (pairs, 2)).amax(2).flatten(0, 1)
