"""ShuffleNet v1, an image classifier."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

SHUFFLENET = "Zhang et al., ShuffleNet: An Extremely Efficient CNN for Mobile Devices, CVPR 2018"

MODELS = (
    ModelSpec(
        name="shufflenet_v1",
        title="ShuffleNet v1, 3 groups",
        builder="edgevid.zoo.shufflenet_v1.network:build",
        source=SHUFFLENET,
        input="image",
        frames=1,
        classes=1000,
        smallest=(1, 64),
        published=(
            "ImageNet top-1 68.13 % (224x224; MMClassification model zoo, which does not state the crops)"
        ),
        facts=Facts(parameters=1_865_728, macs=137_460_672),
    ),
)
