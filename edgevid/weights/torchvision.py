"""torchvision's image classifiers, which initialize a backbone: ResNet, ResNeXt and MobileNetV2.

Source: github.com/pytorch/vision, ``torchvision/models/resnet.py`` and ``mobilenetv2.py``. The latter nests
convolution, batch norm and activation, so its layers are renumbered here.
"""

from __future__ import annotations

import re

from edgevid.weights.formats import Format
from edgevid.weights.inflate import inflate

RESNET = Format(
    "torchvision's ResNet",
    ((r"^fc\.", "classifier."), (r"^(conv1|bn1|layer\d)\.", r"backbone.\1.")),
    convert=inflate,
    initializes=True,
)


def _flat(match: re.Match) -> str:
    """``features.4.conv.1.0`` is layer 3 of the block: each nested group has three layers.

    Two layers, the linear convolution and its batch norm, follow the groups without nesting; the first block
    has one group, the others two.
    """
    block, outer, inner = int(match[1]), int(match[2]), match[3]
    groups = 1 if block == 1 else 2
    layer = 3 * outer + int(inner) if inner is not None else 3 * groups + outer - groups
    return f"features.{block}.conv.{layer}."


MOBILENET_V2 = Format(
    "torchvision's MobileNetV2",
    (
        (r"^classifier\.1\.", "classifier."),
        (r"^features\.(\d+)\.conv\.(\d)\.(?:(\d)\.)?", _flat),
        (r"^features\.", "backbone.features."),
    ),
    initializes=True,
)
