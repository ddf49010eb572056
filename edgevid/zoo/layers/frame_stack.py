"""A convolution over time and space: a frame stack and a convolution over space."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from edgevid.errors import EdgevidError
from edgevid.ops.frame_stack import frames_out, torch_op

frame_stack = torch_op()


class SpatiotemporalConv(nn.Module):
    """``(N*T, C, H, W)`` to ``(N*T', O, H', W')``, equal to a ``Conv3d`` on the clips.

    ``weight`` is ``(O, C, k, kh, kw)``, as in checkpoints; ``kernel_size`` and ``stride`` are in time, height
    and width, ``padding`` in height and width. In time, the zero padding is half the filter, so that ``T' =
    ceil(T / stride)``; ``causal``, frame ``t`` reads frames ``t - (k-1)*dilation`` to ``t``. A filter over a
    single frame is a plain ``Conv2d``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        padding: tuple[int, int] = (0, 0),
        dilation: int = 1,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        taps = kernel_size[0]
        if taps % 2 == 0 and not causal:
            raise EdgevidError(f"{taps} frames have no center: use an odd number, or a causal filter")
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.first = -(taps - 1) * dilation if causal else -(taps // 2) * dilation
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")

    def frames_out(self, frames: int) -> int:
        return frames_out(frames, self.stride[0])

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        taps, stride = self.weight.shape[2], self.stride[0]
        if taps > 1 or stride > 1:
            x = frame_stack(x, frames, taps, self.first, self.dilation, stride)
        weight = self.weight.transpose(1, 2).flatten(1, 2)
        return functional.conv2d(x, weight, self.bias, self.stride[1:], self.padding)

    def extra_repr(self) -> str:
        outputs, inputs, *kernel = self.weight.shape
        options = (
            f"stride={self.stride}, padding={self.padding}, dilation={self.dilation}, first={self.first}"
        )
        return f"{inputs}, {outputs}, kernel_size={tuple(kernel)}, {options}"
