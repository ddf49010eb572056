"""Checkpoints of STM (Jiang et al., ICCV 2019), named as in its authors' module files."""

from __future__ import annotations

from edgevid.weights.formats import Format

STM = Format(
    "STM",
    (
        (r"^fc\.", "classifier."),
        (r"^(?=conv1\.|bn1\.|layer\d)", "backbone."),
        (r"\.mb\.stage_conv\.", ".motion.features.squeeze."),
        (r"\.mb\.stage_bn\.", ".motion.features.bn."),
        (r"\.mb\.shift\.", ".motion.features.conv."),
        (r"\.mb\.conv1x1\.", ".motion.expand."),
        (r"(\.layer\d\.\d+)\.shift\.", r"\1.over_time."),
    ),
    marker=r"\.mb\.",  # the rest is named as in torchvision's ResNet
)
