"""The flattened convolution: three one-dimensional convolutions instead of a three-dimensional one.

Source: Jin, Dundar, Culurciello, "Flattened Convolutional Neural Networks for Feedforward Acceleration",
ICLR 2015 workshop, section 3.
"""

from __future__ import annotations

import torch
from torch import nn


class FlattenedConv2d(nn.Module):
    """A convolution whose filters are outer products of a channel, a vertical and a horizontal filter.

    ``(N, inputs, H, W)`` to ``(N, outputs, H', W')``, padded by ``kernel // 2``, with
    ``outputs * (inputs + 2 * kernel)`` weights instead of ``outputs * inputs * kernel**2``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__()
        half = kernel // 2
        self.channel = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.vertical = nn.Conv2d(
            outputs, outputs, (kernel, 1), (stride, 1), padding=(half, 0), groups=outputs, bias=False
        )
        self.horizontal = nn.Conv2d(
            outputs, outputs, (1, kernel), (1, stride), padding=(0, half), groups=outputs, bias=bias
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.horizontal(self.vertical(self.channel(x)))
