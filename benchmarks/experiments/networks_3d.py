"""SlowFast and its relatives as others build them, in ordinary 3-D layers, with a zoo network's weights.

What ``edgevid bench`` of those networks is compared with, and what the tests compare them with: volumes
``(N, C, T, H, W)`` from the first layer to the last, ``Conv3d``, ``BatchNorm3d`` and 3-D pools throughout.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.resnet3d.network import InflatedBottleneck, Pathway, ResNet3d, Stage
from edgevid.zoo.segments import FeatureAverage
from edgevid.zoo.slowfast.network import Lateral, slow_frames

WINDOW = 7
"""Pixels of the windows that the head averages over, at stride 1, before it averages its answers."""


def convolution(layer: SpatiotemporalConv | nn.Conv2d) -> nn.Conv3d:
    """The layer of the zoo as a ``Conv3d`` with its weights."""
    if isinstance(layer, nn.Conv2d):
        weight, stride, padding = layer.weight[:, :, None], (1, *layer.stride), (0, *layer.padding)
    else:
        weight, stride, padding = layer.weight, layer.stride, (-layer.first, *layer.padding)
    outputs, inputs, *kernel = weight.shape
    made = nn.Conv3d(inputs, outputs, tuple(kernel), stride, padding, bias=layer.bias is not None)
    made.weight, made.bias = nn.Parameter(weight.detach()), layer.bias
    return made


def norm(layer: nn.BatchNorm2d) -> nn.BatchNorm3d:
    made = nn.BatchNorm3d(layer.num_features, layer.eps)
    made.load_state_dict(layer.state_dict())
    return made


class Block3d(nn.Module):
    """A bottleneck: its branch, its shortcut, their sum, and a ReLU."""

    def __init__(self, block: InflatedBottleneck) -> None:
        super().__init__()
        pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2), (block.conv3, block.bn3)]
        layers = [layer for conv, bn in pairs for layer in (convolution(conv), norm(bn), nn.ReLU())]
        self.branch = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Identity()
        if block.downsample is not None:
            conv, bn = block.downsample
            self.shortcut = nn.Sequential(convolution(conv), norm(bn))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


def stem3d(pathway: Pathway) -> nn.Sequential:
    pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
    return nn.Sequential(convolution(pathway.conv1), norm(pathway.bn1), nn.ReLU(), pool)


def stage3d(stage: Stage) -> nn.Sequential:
    return nn.Sequential(*[Block3d(block) for block in stage])


def average(x: torch.Tensor) -> torch.Tensor:
    """``(N, C, T, H, W)`` to ``(N, C, 1, H', W')``: over all frames and each window of pixels."""
    frames, height, width = x.shape[2:]
    return functional.avg_pool3d(x, (frames, min(height, WINDOW), min(width, WINDOW)), 1)


class Head3d(nn.Module):
    """The answers to all windows, averaged."""

    def __init__(self, classifier: nn.Linear) -> None:
        super().__init__()
        self.projection, self.mean = classifier, nn.AdaptiveAvgPool3d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answers = self.projection(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        return self.mean(answers).flatten(1)


class VolumeResNet(nn.Module):
    """Clip ``(N, T, 3, H, W)`` to logits."""

    def __init__(self, model: FeatureAverage) -> None:
        super().__init__()
        backbone: ResNet3d = model.backbone
        layers = [stem3d(backbone), *map(stage3d, backbone.stages)]
        if backbone.pool is not None:
            layers.insert(2, nn.MaxPool3d((2, 1, 1), (2, 1, 1)))
        self.layers, self.head = nn.Sequential(*layers), Head3d(model.classifier)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.head(average(self.layers(clip.transpose(1, 2))))


class Fusion3d(nn.Module):
    """What the fast pathway gives, convolved over time, behind the slow one's channels."""

    def __init__(self, lateral: Lateral) -> None:
        super().__init__()
        self.fast_to_slow = nn.Sequential(convolution(lateral.conv), norm(lateral.bn), nn.ReLU())

    def forward(self, slow: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        return torch.cat([slow, self.fast_to_slow(fast)], 1)


class VolumeSlowFast(nn.Module):
    """Clip ``(N, T, 3, H, W)``, of which the slow pathway takes some frames, to logits."""

    def __init__(self, model: FeatureAverage) -> None:
        super().__init__()
        backbone = model.backbone
        self.alpha = backbone.alpha
        self.slow_stem, self.fast_stem = stem3d(backbone.slow), stem3d(backbone.fast)
        self.slow_stages = nn.ModuleList(map(stage3d, backbone.slow.stages))
        self.fast_stages = nn.ModuleList(map(stage3d, backbone.fast.stages))
        self.fusions = nn.ModuleList(map(Fusion3d, backbone.laterals))
        self.head = Head3d(model.classifier)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        volume = clip.transpose(1, 2)
        chosen = slow_frames(volume.shape[2], self.alpha, clip.device)
        slow, fast = self.slow_stem(volume.index_select(2, chosen)), self.fast_stem(volume)
        for fuse, of_slow, of_fast in zip(self.fusions, self.slow_stages, self.fast_stages):
            slow, fast = of_slow(fuse(slow, fast)), of_fast(fast)
        return self.head(torch.cat([average(slow), average(fast)], 1))


def official_slowfast(model: FeatureAverage) -> nn.Module:
    """``slowfast_r50_8x8`` or ``slowfast_r50_4x16`` in ordinary layers, in evaluation mode."""
    return VolumeSlowFast(copy.deepcopy(model)).eval()


def official_resnet3d(model: FeatureAverage) -> nn.Module:
    """``slow_r50``, ``c2d_r50`` or ``i3d_r50`` in ordinary layers, in evaluation mode."""
    return VolumeResNet(copy.deepcopy(model)).eval()
