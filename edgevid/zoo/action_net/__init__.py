"""ACTION-Net."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec, Preprocessing

ACTION = "Wang, She, Smolic, ACTION-Net: Multipath Excitation, CVPR 2021"
# As in the authors' code: BGR from 0 to 255, normalized by the mean and deviation of RGB from 0 to 1.
BGR_255 = Preprocessing(
    mean=(0.485 / 255, 0.456 / 255, 0.406 / 255), std=(0.229 / 255, 0.224 / 255, 0.225 / 255), color="BGR"
)

MODELS = (
    ModelSpec(
        name="action_r50",
        title="ACTION-Net, ResNet-50",
        builder="edgevid.zoo.action_net.network:build",
        source=ACTION,
        options={"backbone": "resnet50", "direction": "bidirectional"},
        online="action_r50_online",
        published=(
            "Something-Something V2 top-1 64.0 % (16 frames; an aggregator page, which does not state the "
            "clips and crops)"
        ),
        facts=Facts(
            parameters=28_545_452,
            macs=34_440_684_144,
            temporal_ops={"FrameStack": 32, "TemporalConv": 16, "TemporalDifference": 16},
        ),
    ),
    ModelSpec(
        name="action_r50_online",
        title="Causal ACTION-Net, ResNet-50",
        builder="edgevid.zoo.action_net.network:build",
        source=ACTION,
        options={"backbone": "resnet50", "direction": "causal"},
        causal=True,
        facts=Facts(
            parameters=28_545_452,
            macs=34_440_684_144,
            temporal_ops={"FrameStack": 32, "TemporalConv": 16, "TemporalDifference": 16},
        ),
    ),
    ModelSpec(
        name="action_mbv2",
        title="ACTION-Net, MobileNetV2",
        builder="edgevid.zoo.action_net.network:build",
        source=ACTION,
        options={"backbone": "mobilenet_v2", "direction": "bidirectional"},
        online="action_mbv2_online",
        facts=Facts(
            parameters=2_761_532,
            macs=2_413_157_448,
            temporal_ops={"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10},
        ),
    ),
    ModelSpec(
        name="action_mbv2_online",
        title="Causal ACTION-Net, MobileNetV2",
        builder="edgevid.zoo.action_net.network:build",
        source=ACTION,
        options={"backbone": "mobilenet_v2", "direction": "causal"},
        causal=True,
        facts=Facts(
            parameters=2_761_532,
            macs=2_413_157_448,
            temporal_ops={"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10},
        ),
    ),
    ModelSpec(
        name="action_bninception",
        title="ACTION-Net, BN-Inception",
        builder="edgevid.zoo.action_net.network:build",
        source=ACTION,
        options={"backbone": "bn_inception", "direction": "bidirectional"},
        preprocessing=BGR_255,
        facts=Facts(
            parameters=11_775_744,
            macs=16_602_964_544,
            temporal_ops={"FrameStack": 20, "TemporalConv": 10, "TemporalDifference": 10},
        ),
    ),
)
