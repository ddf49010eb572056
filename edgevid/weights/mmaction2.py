"""MMAction2's checkpoints: a convolution and its batch norm are one ``ConvModule``.

Source: github.com/open-mmlab/mmaction2, ``mmaction/models/backbones/resnet.py``, ``resnet_tsm.py`` and
``mobilenet_v2.py``, with mmcv's ``ConvModule`` and ``NonLocal3d``.
"""

from __future__ import annotations

import re

from torch import nn

from edgevid.weights.formats import Format
from edgevid.zoo.backbones.mobilenet_v2 import FIRST_BLOCKS
from edgevid.zoo.resnet3d.network import ResNet3d


def _of_volumes(network: nn.Module) -> str | None:
    """I3D and C2D have the tensors of pytorchvideo's, but other strides and padding.

    MMAction2's I3D keeps every fourth frame (``conv1_stride_t`` and ``pool1_stride_t`` of 2); the max-pool
    after the stem of its C2D has no padding.
    """
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, ResNet3d) or backbone.pool is None or backbone.conv1.stride[0] > 1:
        return None
    if backbone.conv1.weight.shape[2] > 1:
        return "MMAction2's I3D keeps every fourth frame after its stem: use i3d_r50_32x2"
    return "MMAction2's C2D has no padding after its stem, and is not supported: use pytorchvideo's weights"


CLASSIFIER = (r"^cls_head\.fc_cls\.", "classifier.")

RESNET = Format(
    "MMAction2",
    (
        CLASSIFIER,
        (r"(\.layer\d\.\d+)\.block\.", r"\1."),
        (r"\.non_local_block\.", ".non_local."),
        (r"\.concat_project\.conv\.", ".project."),
        (r"\.conv_out\.conv\.", ".out."),
        (r"\.conv_out\.bn\.", ".bn."),
        (r"\.(theta|phi|g)\.(0\.)?conv\.", r".\1."),
        (r"\.conv(\d[ab]?)\.conv\.", r".conv\1."),
        (r"\.conv(\d)\.bn\.", r".bn\1."),
        (r"\.downsample\.conv\.", ".downsample.0."),
        (r"\.downsample\.bn\.", ".downsample.1."),
    ),
    mismatch=_of_volumes,
)


def _block(match: re.Match) -> str:
    stage, block, group, wrapper, layer = match.groups()
    index = 3 * int(group) + (layer == "bn")
    return f"backbone.features.{FIRST_BLOCKS[int(stage) - 1] + int(block)}.conv.{index}.{wrapper or ''}"


MOBILENET_V2 = Format(
    "MMAction2's MobileNetV2",
    (
        CLASSIFIER,
        (r"^backbone\.layer(\d)\.(\d+)\.conv\.(\d)\.(net\.)?(conv|bn)\.", _block),
        (r"^backbone\.conv1\.conv\.", "backbone.features.0.0."),
        (r"^backbone\.conv1\.bn\.", "backbone.features.0.1."),
        (r"^backbone\.conv2\.conv\.", f"backbone.features.{FIRST_BLOCKS[-1]}.0."),
        (r"^backbone\.conv2\.bn\.", f"backbone.features.{FIRST_BLOCKS[-1]}.1."),
    ),
)
