"""The channel-wise temporal convolution as a layer."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.temporal_conv import offsets_of, torch_op

temporal_conv = torch_op()


class TemporalConv(nn.Module):
    """Convolve each channel of ``(N*T, C, H, W)`` over time: centered ("bidirectional") or causal.

    It is initialized to a temporal shift of ``1/shift_div`` of the channels each way (causal: from the past
    only), as in STM and ACTION-Net; with None, to the identity, as in part of TEA. ``weight`` is ``(C, 1,
    k)``, as the ``Conv1d`` in their checkpoints.
    """

    def __init__(
        self,
        channels: int,
        taps: int = 3,
        direction: str = "bidirectional",
        bias: bool = False,
        shift_div: int | None = 8,
    ) -> None:
        super().__init__()
        self.causal = direction == "causal"
        self.direction = direction
        self.weight = nn.Parameter(torch.zeros(channels, 1, taps))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        fold = channels // shift_div if shift_div else 0
        moves = [(-1, fold)] if self.causal else [(1, fold), (-1, fold)]
        offsets, start = offsets_of(taps, self.causal), 0
        with torch.no_grad():
            for offset, count in [*moves, (0, channels)]:
                self.weight[start : start + count, 0, offsets.index(offset)] = 1
                start += count

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return temporal_conv(x, self.weight[:, 0], self.bias, frames, self.causal)

    def extra_repr(self) -> str:
        channels, _, taps = self.weight.shape
        return f"{channels}, taps={taps}, {self.direction}, bias={self.bias is not None}"
