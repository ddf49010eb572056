"""ChannelNets: MobileNet with filters along the channels instead of dense connections between channels.

Source: Gao, Wang, Ji, "ChannelNets: Compact and Efficient Convolutional Neural Networks via Channel-Wise
Convolutions", NeurIPS 2018, sections 3.2 to 3.5; and its public code, github.com/HongyangGao/ChannelNets,
where the paper is ambiguous: ``SAME`` padding, a stem without activation, the order of the group modules, and
in v3 a depthwise 3x3 before the classification layer.

The code differs from the paper: it concatenates in the low layers, and the "channel-wise" convolution of its
v2 treats the 49 pixels of a channel as channels, 49 to 49. ``variant="paper"`` has neither; ``"plainstem"``
has the second, ``"official"`` both.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo.channelnet.classifiers import CLASSIFIERS, SIDE
from edgevid.zoo.layers.channel_conv import ChannelConv
from edgevid.zoo.layers.same_padding import SameConv2d, same_pads

VARIANTS = ("paper", "plainstem", "official")
GROUPS = 2
GROUP_TAPS = 4 * GROUPS
LAST_TAPS = 64
WIDTH = 512
FEATURES = 1024

# output channels, stride, and whether the official code appends the layer's input to its output
LOW = (
    (64, 1, True),
    (128, 2, False),
    (128, 1, True),
    (256, 2, False),
    (256, 1, True),
    (WIDTH, 2, False),
)


class DepthwiseSeparable(nn.Module):
    """Depthwise 3x3 without batch norm or activation; 1x1, batch norm, ReLU6."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = SameConv2d(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU6(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.bn(self.pointwise(self.depthwise(x))))


class AppendInput(DepthwiseSeparable):
    """Concatenates its input and its output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, super().forward(x)], 1)


class GroupModule(nn.Module):
    """GM: two separate layers for each group of channels; the input is added.

    With ``mixed`` it is GCWM: a group channel-wise convolution, whose filter i yields the channels of group
    i, first mixes the groups.
    """

    def __init__(self, mixed: bool, shortcut: bool) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.mix: nn.Module = nn.Identity()
        if mixed:
            pads = same_pads(WIDTH, GROUP_TAPS, GROUPS)
            self.mix = ChannelConv(GROUPS, GROUP_TAPS, stride=GROUPS, pads=pads)
        width = WIDTH // GROUPS
        self.groups = nn.ModuleList(
            nn.Sequential(DepthwiseSeparable(width, width), DepthwiseSeparable(width, width))
            for _ in range(GROUPS)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.mix(x).chunk(GROUPS, 1)
        y = torch.cat([group(part) for group, part in zip(self.groups, parts)], 1)
        return x + y if self.shortcut else y


class DepthwiseSeparableChannelwise(nn.Module):
    """Depthwise 3x3, then one filter along the channels, shared by all pixels. No batch norm, no ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = SameConv2d(FEATURES, FEATURES, 3, groups=FEATURES)
        self.channelwise = ChannelConv(1, LAST_TAPS, pads=same_pads(FEATURES, LAST_TAPS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.channelwise(self.depthwise(x))


class DepthwiseSeparablePixelwise(nn.Module):
    """The version of the public code: a convolution along the channels from 7x7 pixels to 7x7 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = SameConv2d(FEATURES, FEATURES, 3, groups=FEATURES)
        self.pad = nn.ConstantPad1d(same_pads(FEATURES, LAST_TAPS), 0.0)
        self.pixelwise = nn.Conv1d(SIDE**2, SIDE**2, LAST_TAPS, bias=False)
        nn.init.kaiming_normal_(self.pixelwise.weight, nonlinearity="linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = self.depthwise(x).flatten(2).transpose(1, 2)
        return self.pixelwise(self.pad(pixels)).transpose(1, 2).reshape(x.shape)


class ChannelNet(nn.Module):
    """Images ``(N, 3, H, W)`` to logits ``(N, classes)``."""

    def __init__(self, low: nn.Sequential, last: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(SameConv2d(3, 32, 3, 2), nn.BatchNorm2d(32))
        self.low = low
        self.groups = nn.Sequential(
            GroupModule(mixed=False, shortcut=True),
            GroupModule(mixed=True, shortcut=False),
            GroupModule(mixed=True, shortcut=True),
        )
        self.high = nn.Sequential(DepthwiseSeparable(WIDTH, FEATURES, 2), last)
        self.classifier = classifier
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                is_linear = isinstance(module, SameConv2d)
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if is_linear else "relu")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.high(self.groups(self.low(self.stem(image)))))


def _low(appends: bool) -> nn.Sequential:
    layers, inputs = nn.Sequential(), 32
    for outputs, stride, can_append in LOW:
        append = appends and can_append
        layers.append((AppendInput if append else DepthwiseSeparable)(inputs, outputs, stride))
        inputs = outputs + inputs * append
    return layers


def build(
    num_classes: int,
    compress_last: bool,
    classifier: str,
    variant: str = "paper",
) -> ChannelNet:
    """v1; v2 is ``compress_last``: the last layer's 1x1 becomes a filter; v3 has another ``classifier`` too.

    ``classifier`` is a key of ``CLASSIFIERS``. v3, and v2 as in the public code, require images of 224x224.
    """
    if variant not in VARIANTS or classifier not in CLASSIFIERS:
        raise EdgevidError(
            f"ChannelNet has no variant '{variant}' with classifier '{classifier}': choose one of "
            f"{', '.join(VARIANTS)} and one of {', '.join(CLASSIFIERS)}"
        )
    last: nn.Module = DepthwiseSeparable(FEATURES, FEATURES)
    if compress_last:
        last = DepthwiseSeparableChannelwise() if variant == "paper" else DepthwiseSeparablePixelwise()
    return ChannelNet(_low(variant == "official"), last, CLASSIFIERS[classifier](FEATURES, num_classes))
