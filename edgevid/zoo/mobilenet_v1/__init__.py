"""MobileNet v1, an image classifier."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

MOBILENET = "Howard et al., MobileNets: Efficient CNNs for Mobile Vision Applications, 2017"

MODELS = (
    ModelSpec(
        name="mobilenet_v1",
        title="MobileNet v1",
        builder="edgevid.zoo.mobilenet_v1.network:build",
        source=MOBILENET,
        input="image",
        frames=1,
        classes=1000,
        smallest=(1, 64),
        published="ImageNet top-1 70.6 % (224x224; README of ChannelNets, which does not state the crops)",
        facts=Facts(parameters=4_231_976, macs=568_740_352),
    ),
)
