"""PP-LCNet v2: depthwise separable convolutions, the large ones trained as a sum of several sizes.

Source: PaddleClas' PP-LCNetV2 as in PaddleVideo's ``pptsm_v2.py``: stages of 3x3 and then of 5x5 depthwise
convolutions, ReLU, squeeze-and-excitation in the third stage, and one shift before that stage.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import pad

from edgevid.zoo.layers.excitation import SqueezeExcitation
from edgevid.zoo.layers.init import keep_variance
from edgevid.zoo.layers.shift import NoShift

# input channels, blocks, depthwise kernel, split 1x1, sum of sizes, squeeze-and-excitation, shortcut
STAGES = (
    (64, 2, 3, False, False, False, False),
    (128, 2, 3, False, False, False, False),
    (256, 6, 5, True, True, True, False),
    (512, 2, 5, False, True, False, True),
)
SHIFTED_STAGE = 2
EXCITATION_REDUCTION = 4


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class SummedDepthwise(nn.Module):
    """Depthwise convolutions of several sizes, each with a batch norm, that are summed.

    They are trained separately; in evaluation, one convolution, ``merged``, computes their sum: smaller
    kernels are padded with zeros, and batch norms become a factor and a bias. It is recomputed whenever the
    network switches to evaluation or loads weights, and never trained itself.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        sizes = [size for size in range(kernel, 0, -2) if size > 1 or stride == 1]
        self.branches = nn.ModuleList(conv_bn(channels, channels, size, stride, channels) for size in sizes)
        self.merged = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels)
        self.merged.requires_grad_(False)
        self.register_load_state_dict_post_hook(lambda module, incompatible: module.merge())

    @torch.no_grad()
    def merge(self) -> None:
        weight, bias = torch.zeros_like(self.merged.weight), torch.zeros_like(self.merged.bias)
        for branch in self.branches:
            convolution, norm = branch[0], branch[1]
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            margin = (weight.shape[-1] - convolution.weight.shape[-1]) // 2
            weight += pad(convolution.weight * factor[:, None, None, None], [margin] * 4)
            bias += norm.bias - norm.running_mean * factor
        self.merged.weight.copy_(weight)
        self.merged.bias.copy_(bias)

    def train(self, mode: bool = True) -> SummedDepthwise:
        super().train(mode)
        if not mode:
            self.merge()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.merged(x)
        first, *others = self.branches
        return sum((branch(x) for branch in others), first(x))


class DepthwiseSeparable(nn.Module):
    """Depthwise convolution, ReLU, and a 1x1 (or two, with half the outputs between), each with ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        kernel: int = 3,
        split: bool = False,
        summed: bool = False,
        excited: bool = False,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.has_shortcut = shortcut and stride == 1 and inputs == outputs
        self.depthwise = (
            SummedDepthwise(inputs, kernel, stride)
            if summed
            else conv_bn(inputs, inputs, kernel, stride, groups=inputs)
        )
        self.excitation = SqueezeExcitation(inputs, EXCITATION_REDUCTION) if excited else nn.Identity()
        widths = (inputs, outputs // 2, outputs) if split else (inputs, outputs)
        self.pointwise = nn.ModuleList(conv_bn(a, b, 1) for a, b in pairwise(widths))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.excitation(self.relu(self.depthwise(x)))
        for convolution in self.pointwise:
            y = self.relu(convolution(y))
        return x + y if self.has_shortcut else y


class LCNetV2(nn.Module):
    """``(N*T, 3, H, W)`` frames to ``(N*T, 1280)`` features."""

    feature_channels = 1280

    def __init__(self, make_shift: Callable[[], nn.Module] | None = None) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(3, 32, 3, 2), nn.ReLU(inplace=True), DepthwiseSeparable(32, 64, 1))
        self.shift = make_shift() if make_shift else NoShift()
        self.stages = nn.ModuleList()
        for channels, count, *kind in STAGES:
            widths = (channels, *(2 * channels,) * count)
            self.stages.append(
                nn.Sequential(
                    *(
                        DepthwiseSeparable(widths[index], widths[index + 1], 2 if index == 0 else 1, *kind)
                        for index in range(count)
                    )
                )
            )
        self.last_conv = nn.Conv2d(widths[-1], self.feature_channels, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        keep_variance(self)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            x = stage(self.shift(x, frames) if index == SHIFTED_STAGE else x)
        return self.relu(self.last_conv(x.mean((2, 3), keepdim=True))).flatten(1)


class UnscaledDropout(nn.Module):
    """Dropout without rescaling in training: in evaluation, it multiplies by the keep probability."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep_probability = 1 - self.probability
        return nn.functional.dropout(x, self.probability, self.training) * keep_probability
