"""Layers for convolutions along the channels."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.ops import channel_conv as shared
from edgevid.ops import unshared_channel_conv as unshared

channel_conv = shared.torch_op()
unshared_channel_conv = unshared.torch_op()


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


class UnsharedChannelConv(nn.Module):
    """Move filters along the channels, with separate taps at each of ``steps`` steps.

    ``(N, steps + taps - 1, ...)`` to ``(N, filters * steps, ...)``; ``weight`` is ``(filters, taps, steps)``.
    """

    def __init__(self, filters: int, taps: int, steps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(filters, taps, steps) / taps**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return unshared_channel_conv(x, self.weight, None, 1, 0, 0)

    def extra_repr(self) -> str:
        filters, taps, steps = self.weight.shape
        return f"{filters}, taps={taps}, steps={steps}"
