"""TSM with a feature pyramid, for detection in each frame: the inputs of a detector's heads at five scales.

Sources: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3, and section 4.1
for P6; Lin, Gan, Han, "TSM", ICCV 2019, section 5.5 (online video object detection with a causal shift).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import interpolate

from edgevid.zoo.backbones.resnet import EXPANSION
from edgevid.zoo.segments import make_backbone

PYRAMID_CHANNELS = 256
STAGE_CHANNELS = tuple((64 << stage) * EXPANSION for stage in range(4))


class FeaturePyramid(nn.Module):
    """The four stages of a backbone, strides 4 to 32, to ``{"p2": ..., ..., "p6": ...}``, strides 4 to 64.

    A 1x1 maps each stage to 256 channels; from the coarsest on, each is upsampled (nearest) and added to the
    next finer one; a 3x3 smooths each sum; P6 is every second pixel of P5. No layer has an activation.
    """

    def __init__(self, channels: Sequence[int] = STAGE_CHANNELS) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(inputs, PYRAMID_CHANNELS, 1) for inputs in channels)
        self.smooth = nn.ModuleList(
            nn.Conv2d(PYRAMID_CHANNELS, PYRAMID_CHANNELS, 3, padding=1) for _ in channels
        )
        for convolution in (*self.laterals, *self.smooth):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
            nn.init.zeros_(convolution.bias)

    def forward(self, stages: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        sums: list[torch.Tensor] = []
        for stage, lateral in zip(reversed(stages), reversed(self.laterals)):
            x = lateral(stage)
            if sums:
                x = x + interpolate(sums[-1], size=x.shape[-2:], mode="nearest")
            sums.append(x)
        levels = [smooth(x) for x, smooth in zip(reversed(sums), self.smooth)]
        levels.append(levels[-1][:, :, ::2, ::2])
        return {f"p{level}": x for level, x in enumerate(levels, 2)}


class PyramidNetwork(nn.Module):
    """Clip ``(N, T, 3, H, W)`` to the pyramid of each frame: ``{"p2": (N*T, 256, H/4, W/4), ...}``."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone, self.pyramid = backbone, FeaturePyramid()

    def forward(self, clip: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.pyramid(self.backbone.stages(clip.flatten(0, 1), clip.shape[1]))


def build(frames: int, shift: str, backbone: str = "resnet50", shift_div: int = 8) -> PyramidNetwork:
    """``shift`` is bidirectional, or causal for online detection; ``backbone`` a ResNet of ``segments``."""
    return PyramidNetwork(make_backbone(backbone, shift, shift_div))
