"""A convolution with TensorFlow's ``SAME`` padding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def same_pads(length: int, kernel: int, stride: int = 1) -> tuple[int, int]:
    """The pads of ``length`` elements for ``ceil(length / stride)`` outputs; an odd zero goes after them."""
    total = ((length + stride - 1) // stride - 1) * stride + kernel - length
    if kernel < stride:  # otherwise it is never negative
        total = max(total, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as in TensorFlow: at stride 2, even sizes are padded only at the
    end.

    Where PyTorch pads a 3x3 convolution of stride 2 by one on every side, TensorFlow centers its first window
    on the second pixel, so weights trained with one padding give different outputs with the other.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = map(same_pads, x.shape[2:], self.kernel_size, self.stride)
        # With a stride, the pads depend on the size of the image, which may be dynamic in an export.
        if self.stride == (1, 1) and rows[0] == rows[1] and columns[0] == columns[1]:
            pads = rows[0], columns[0]
            return functional.conv2d(x, self.weight, None, self.stride, pads, groups=self.groups)
        padded = functional.pad(x, (*columns, *rows))
        return functional.conv2d(padded, self.weight, None, self.stride, groups=self.groups)
