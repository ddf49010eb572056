"""pytorchvideo's checkpoints: Slow, C2D, I3D and SlowFast on ResNet-50.

Source: github.com/facebookresearch/pytorchvideo, ``pytorchvideo/models/resnet.py`` and ``slowfast.py``: all
blocks are numbered in sequence, ``blocks.0`` the stem, then the stages, and last the head. In C2D and I3D the
max-pool between the first stage and the second is a block too.
"""

from __future__ import annotations

import re

from torch import nn

from edgevid.weights.formats import Format, Rule
from edgevid.zoo.resnet3d.network import ResNet3d

IN_BLOCK: tuple[Rule, ...] = (
    (r"\.res_blocks\.", "."),
    (r"\.branch1_conv\.", ".downsample.0."),
    (r"\.branch1_norm\.", ".downsample.1."),
    (r"\.branch2\.conv_a\.", ".conv1."),
    (r"\.branch2\.norm_a\.", ".bn1."),
    (r"\.branch2\.conv_b\.", ".conv2."),
    (r"\.branch2\.norm_b\.", ".bn2."),
    (r"\.branch2\.conv_c\.", ".conv3."),
    (r"\.branch2\.norm_c\.", ".bn3."),
)
CLASSIFIER: Rule = (r"^blocks\.\d\.proj\.", "classifier.")


def _behind_the_pool(match: re.Match) -> str:
    return f"backbone.layer{int(match[1]) - 1}."


def _pathway(match: re.Match) -> str:
    pathway = ("slow", "fast")[int(match[2])]
    stage = int(match[1])
    return f"backbone.{pathway}." + (f"layer{stage}." if stage else "")


STEM: tuple[Rule, ...] = (
    (r"^(backbone\.(?:slow\.|fast\.)?)conv\.", r"\1conv1."),
    (r"^(backbone\.(?:slow\.|fast\.)?)norm\.", r"\1bn1."),
)


def _keeps_frames(network: nn.Module) -> str | None:
    """I3D's stem keeps every frame; MMAction2's has the same tensors, but keeps one in four."""
    backbone = getattr(network, "backbone", None)
    if isinstance(backbone, ResNet3d) and backbone.conv1.stride[0] > 1:
        return "pytorchvideo's I3D keeps every frame after its stem: use i3d_r50"
    return None


RESNET = Format(
    "pytorchvideo",
    (
        CLASSIFIER,
        (r"^blocks\.0\.", "backbone."),
        (r"^blocks\.(\d)\.", r"backbone.layer\1."),
        *STEM,
        *IN_BLOCK,
    ),
)
POOLED_RESNET = Format(
    "pytorchvideo, with a pool behind the first stage",
    (
        CLASSIFIER,
        (r"^blocks\.0\.", "backbone."),
        (r"^blocks\.1\.", "backbone.layer1."),
        (r"^blocks\.(\d)\.", _behind_the_pool),
        *STEM,
        *IN_BLOCK,
    ),
    mismatch=_keeps_frames,
)
SLOWFAST = Format(
    "pytorchvideo's SlowFast",
    (
        CLASSIFIER,
        (r"^blocks\.(\d)\.multipathway_fusion\.conv_fast_to_slow\.", r"backbone.laterals.\1.conv."),
        (r"^blocks\.(\d)\.multipathway_fusion\.norm\.", r"backbone.laterals.\1.bn."),
        (r"^blocks\.(\d)\.multipathway_blocks\.(\d)\.", _pathway),
        *STEM,
        *IN_BLOCK,
    ),
)
