"""MobileNet (v1), an image classifier.

Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017, table 1 (whose last depthwise layer, "s2", keeps 7x7 and thus has stride 1) and figure 3.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.zoo.layers.init import keep_variance

STEM_CHANNELS = 32

# output channels of the 1x1, stride of the 3x3
LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)


def conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class MobileNetV1(nn.Module):
    """Images ``(N, 3, H, W)`` to logits ``(N, classes)``; every layer has ``width`` times its channels."""

    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        inputs = int(STEM_CHANNELS * width)
        self.features = nn.Sequential(conv_bn_relu(3, inputs, 3, 2))
        for channels, stride in LAYERS:
            outputs = int(channels * width)
            depthwise = conv_bn_relu(inputs, inputs, 3, stride, groups=inputs)
            self.features.append(nn.Sequential(depthwise, conv_bn_relu(inputs, outputs, 1)))
            inputs = outputs
        self.classifier = nn.Linear(inputs, num_classes)
        keep_variance(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(image).mean((2, 3)))


def build(num_classes: int, width: float = 1.0) -> MobileNetV1:
    """``width`` is the paper's width multiplier."""
    if width * STEM_CHANNELS < 1:
        raise EdgevidError(f"a width of {width} leaves no channels: the paper has 1, 0.75, 0.5 and 0.25")
    return MobileNetV1(num_classes, width)
