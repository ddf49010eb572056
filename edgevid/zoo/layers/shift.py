"""The temporal shift as a layer, and its placeholder in networks without one."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.temporal_shift import torch_op

temporal_shift = torch_op()

DIRECTIONS = {"bidirectional": (1, -1), "past-first": (-1, 1), "causal": (-1, 0)}
"""The frame offsets of the sources of the first and of the second fold of channels."""


class TemporalShift(nn.Module):
    """Shift ``1/shift_div`` of the channels of ``(N*T, C, H, W)`` each way, or from the past only.

    ``direction`` is bidirectional (the first channels from the next frame, as in TSM), past-first (from the
    frame before, as in PP-TSM) or causal. Both folds are rounded down; past-first, the end of the second one
    is rounded separately, as in Paddle's operator, so that it can have one channel more than the first. The
    layer has no parameters, so it does not change the names in a state dict.
    """

    def __init__(self, direction: str = "bidirectional", shift_div: int = 8) -> None:
        super().__init__()
        self.direction, self.shift_div = direction, shift_div

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        channels, (first, second) = x.shape[1], DIRECTIONS[self.direction]
        fold = channels // self.shift_div
        shifted = temporal_shift(x, frames, fold, first, second)
        if self.direction != "past-first" or 2 * channels // self.shift_div == 2 * fold:
            return shifted
        rest = temporal_shift(x[:, 2 * fold :], frames, 1, second, 0)
        return torch.cat([shifted[:, : 2 * fold], rest], 1) if fold else rest

    def extra_repr(self) -> str:
        return f"{self.direction}, shift_div={self.shift_div}"


class NoShift(nn.Module):
    """The identity, in networks or blocks without a shift."""

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return x
