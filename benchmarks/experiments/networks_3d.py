"""SlowFast and its relatives as standard 3D CNNs, with a zoo network's weights.

The reference for benchmarks and tests of those networks: tensors are ``(N, C, T, H, W)`` from the first layer
to the last, with ``Conv3d``, ``BatchNorm3d`` and 3D pools throughout.
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
"""Height and width of the head's averaging windows, at stride 1, whose logits are averaged."""


def convolution(layer: SpatiotemporalConv | nn.Conv2d) -> nn.Conv3d:
    """The zoo's layer as a ``Conv3d`` with the same weights."""
    if isinstance(layer, nn.Conv2d):
        weight, stride, padding = layer.weight[:, :, None], (1, *layer.stride), (0, *layer.padding)
    else:
        weight, stride, padding = layer.weight, layer.stride, (-layer.first, *layer.padding)
    outputs, inputs, *kernel = weight.shape
    conv = nn.Conv3d(inputs, outputs, tuple(kernel), stride, padding, bias=layer.bias is not None)
    conv.weight, conv.bias = nn.Parameter(weight.detach()), layer.bias
    return conv


def norm(layer: nn.BatchNorm2d) -> nn.BatchNorm3d:
    bn = nn.BatchNorm3d(layer.num_features, layer.eps)
    bn.load_state_dict(layer.state_dict())
    return bn


class Block3d(nn.Module):
    """A bottleneck: branch, shortcut, sum and ReLU."""

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
    """``(N, C, T, H, W)`` to ``(N, C, 1, H', W')``: the mean over all frames and each window of pixels."""
    frames, height, width = x.shape[2:]
    return functional.avg_pool3d(x, (frames, min(height, WINDOW), min(width, WINDOW)), 1)


class Head3d(nn.Module):
    """The mean of the logits of all windows."""

    def __init__(self, classifier: nn.Linear) -> None:
        super().__init__()
        self.projection, self.mean = classifier, nn.AdaptiveAvgPool3d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.projection(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        return self.mean(logits).flatten(1)


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
    """The fast pathway's features, convolved over time and concatenated to the slow pathway's channels."""

    def __init__(self, lateral: Lateral) -> None:
        super().__init__()
        self.fast_to_slow = nn.Sequential(convolution(lateral.conv), norm(lateral.bn), nn.ReLU())

    def forward(self, slow: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        return torch.cat([slow, self.fast_to_slow(fast)], 1)


class VolumeSlowFast(nn.Module):
    """Clip ``(N, T, 3, H, W)`` to logits; the slow pathway subsamples the frames."""

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
        indices = slow_frames(volume.shape[2], self.alpha, clip.device)
        slow, fast = self.slow_stem(volume.index_select(2, indices)), self.fast_stem(volume)
        for fuse, slow_stage, fast_stage in zip(self.fusions, self.slow_stages, self.fast_stages):
            slow, fast = slow_stage(fuse(slow, fast)), fast_stage(fast)
        return self.head(torch.cat([average(slow), average(fast)], 1))


def official_slowfast(model: FeatureAverage) -> nn.Module:
    """``slowfast_r50_8x8`` or ``slowfast_r50_4x16`` in standard layers, in evaluation mode."""
    return VolumeSlowFast(copy.deepcopy(model)).eval()


def official_resnet3d(model: FeatureAverage) -> nn.Module:
    """``slow_r50``, ``c2d_r50`` or ``i3d_r50`` in standard layers, in evaluation mode."""
    return VolumeResNet(copy.deepcopy(model)).eval()
