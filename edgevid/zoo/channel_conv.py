"""Convolutions along the channels as layers."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops.channel_conv import torch_op

channel_conv = torch_op()


class ChannelConv(nn.Module):
    """Move ``filters`` filters of ``taps`` along the channels of ``(N, C, H, W)``, in steps of ``stride``.

    The result is ``(N, filters * M, H, W)``, the ``M`` channels of the first filter first. ``pads`` are the
    zeros before the first channel and after the last; ``weight`` is ``(filters, taps)``.
    """

    def __init__(self, filters: int, taps: int, stride: int = 1, pads: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.stride, self.pads = stride, pads
        self.weight = nn.Parameter(torch.empty(filters, taps))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return channel_conv(x, self.weight, None, self.stride, *self.pads)

    def extra_repr(self) -> str:
        filters, taps = self.weight.shape
        return f"{filters}, taps={taps}, stride={self.stride}, pads={self.pads}"
