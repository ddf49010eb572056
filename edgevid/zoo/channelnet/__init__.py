"""ChannelNets, image classifiers."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

CHANNELNETS = "Gao, Wang, Ji, ChannelNets, NeurIPS 2018"

MODELS = (
    ModelSpec(
        name="channelnet_v1",
        title="ChannelNet v1",
        builder="edgevid.zoo.channelnet.network:build",
        source=CHANNELNETS,
        options={"compress_last": False, "classifier": "linear"},
        input="image",
        frames=1,
        classes=1000,
        smallest=(1, 64),
        published="ImageNet top-1 70.5 % (1 centre crop of 224x224; the paper)",
        facts=Facts(parameters=3_703_432, macs=468_488_704, temporal_ops={"ChannelConv": 2}),
    ),
    ModelSpec(
        name="channelnet_v2",
        title="ChannelNet v2",
        builder="edgevid.zoo.channelnet.network:build",
        source=CHANNELNETS,
        options={"compress_last": True, "classifier": "linear"},
        input="image",
        frames=1,
        classes=1000,
        smallest=(1, 64),
        published="ImageNet top-1 69.5 % (1 centre crop of 224x224; the paper)",
        facts=Facts(parameters=2_652_872, macs=420_319_744, temporal_ops={"ChannelConv": 3}),
    ),
    ModelSpec(
        name="channelnet_v3",
        title="ChannelNet v3",
        builder="edgevid.zoo.channelnet.network:build",
        source=CHANNELNETS,
        options={"compress_last": True, "classifier": "volume"},
        input="image",
        frames=1,
        classes=1000,
        smallest=(1, 224),
        published="ImageNet top-1 66.7 % (1 centre crop of 224x224; the paper)",
        facts=Facts(
            parameters=1_638_313,
            macs=420_972_328,
            temporal_ops={"ChannelConv": 4},
            fixed={"size": "classifier (VolumeConv)"},
        ),
    ),
)
