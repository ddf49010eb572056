"""STM and ACTION-Net as their authors wrote them, in standard layers, with a zoo network's weights.

The reference for benchmarks of those networks: each temporal convolution is a ``Conv1d`` between two
permutations, or a ``Conv3d``; motion is split, subtracted and padded; each gate is a separate multiplication.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from edgevid.zoo.layers.excitation import MultipathExcitation
from edgevid.zoo.layers.motion import MotionFeatures
from edgevid.zoo.layers.temporal_conv import TemporalConv


class PermutedConv1d(nn.Module):
    """A depthwise convolution over the frames of each pixel."""

    def __init__(self, layer: TemporalConv) -> None:
        super().__init__()
        channels, _, taps = layer.weight.shape
        self.conv = nn.Conv1d(channels, channels, taps, padding=taps // 2, groups=channels, bias=False)
        self.conv.weight = layer.weight

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        clips = x.view(-1, frames, *x.shape[1:])
        count, _, channels, height, width = clips.shape
        lines = clips.permute(0, 3, 4, 2, 1).contiguous().view(count * height * width, channels, frames)
        lines = self.conv(lines).view(count, height, width, channels, frames)
        return lines.permute(0, 4, 3, 1, 2).contiguous().view(x.shape)


class PaddedMotion(nn.Module):
    """The next frame's convolved features minus this frame's, padded with zeros for the last frame."""

    def __init__(self, layer: MotionFeatures) -> None:
        super().__init__()
        self.squeeze, self.bn, self.conv = layer.squeeze, layer.bn, layer.conv

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        reduced = self.bn(self.squeeze(x))
        now, _ = reduced.view(-1, frames, *reduced.shape[1:]).split([frames - 1, 1], dim=1)
        _, later = self.conv(reduced).view(-1, frames, *reduced.shape[1:]).split([1, frames - 1], dim=1)
        return functional.pad(later - now, (0, 0, 0, 0, 0, 0, 0, 1)).view(reduced.shape)


class ThreeGates(nn.Module):
    """ACTION-Net's excitation: one path after the other, each ``x * gate + x``, and their sum."""

    def __init__(self, layer: MultipathExcitation) -> None:
        super().__init__()
        self.space_time = nn.Conv3d(1, 1, 3, padding=1, bias=False)
        self.space_time.weight = layer.space_time.weight
        self.channel_squeeze, self.channel_expand = layer.channel_squeeze, layer.channel_expand
        reduced = layer.channel_squeeze.out_channels
        self.channel_over_time = nn.Conv1d(reduced, reduced, 3, padding=1, bias=False)
        self.channel_over_time.weight = nn.Parameter(layer.channel_over_time.weight[..., 0, 0])
        self.motion, self.motion_expand = PaddedMotion(layer.motion), layer.motion_expand
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        clips = x.view(-1, frames, *x.shape[1:]).transpose(2, 1).contiguous()
        planes = self.space_time(clips.mean(1, keepdim=True))
        gate = planes.transpose(2, 1).contiguous().view(-1, 1, *x.shape[2:]).sigmoid()
        of_pixels = x * gate + x

        squeezed = self.channel_squeeze(self.pool(x))
        lines = squeezed.view(-1, frames, squeezed.shape[1]).transpose(2, 1).contiguous()
        lines = self.channel_over_time(lines).relu().transpose(2, 1).contiguous()
        of_channels = x * self.channel_expand(lines.view(squeezed.shape)).sigmoid() + x

        motion = self.motion_expand(self.pool(self.motion(x, frames)))
        of_motion = x * motion.sigmoid() + x
        return of_pixels + of_channels + of_motion


ORDINARY = {TemporalConv: PermutedConv1d, MotionFeatures: PaddedMotion, MultipathExcitation: ThreeGates}


def official_stm_r50(network: nn.Module) -> nn.Module:
    """The zoo's ``stm_r50`` with the same weights, without edgevid's ops."""
    return _in_standard_layers(network)


def official_action_r50(network: nn.Module) -> nn.Module:
    """The zoo's ``action_r50`` with the same weights, without edgevid's ops."""
    return _in_standard_layers(network)


def _in_standard_layers(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if type(module) in ORDINARY:
            network.set_submodule(name, ORDINARY[type(module)](module))
    return network
