"""PP-TSM: TSM on PaddlePaddle's backbones."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec

PPTSM = "PP-TSM: PaddlePaddle authors, PaddleVideo, 2021, github.com/PaddlePaddle/PaddleVideo"

MODELS = (
    ModelSpec(
        name="pptsm_r50vd",
        title="PP-TSM, ResNet-50-vd",
        builder="edgevid.zoo.pptsm.network:build",
        source=PPTSM,
        options={"backbone": "resnet50_vd"},
        published=(
            "Kinetics-400 top-1 75.11 % (8 frames; 76.16 % with distillation, dense sampling; PaddleVideo "
            "docs)"
        ),
        facts=Facts(parameters=24_346_864, macs=34_615_033_856, temporal_ops={"TemporalShift": 16}),
    ),
    ModelSpec(
        name="pptsm_r101vd",
        title="PP-TSM, ResNet-101-vd",
        builder="edgevid.zoo.pptsm.network:build",
        source=PPTSM,
        options={"backbone": "resnet101_vd"},
        facts=Facts(parameters=43_338_992, macs=64_312_803_328, temporal_ops={"TemporalShift": 33}),
    ),
    ModelSpec(
        name="pptsm_mbv2",
        title="PP-TSM, MobileNetV2",
        builder="edgevid.zoo.pptsm.network:build",
        source=PPTSM,
        options={"backbone": "mobilenet_v2"},
        published="Kinetics-400 top-1 68.09 % (8 frames; PaddleVideo docs)",
        facts=Facts(parameters=2_737_360, macs=2_499_226_624, temporal_ops={"TemporalShift": 10}),
    ),
    ModelSpec(
        name="pptsm_lcnet_v2",
        title="PP-TSM v2, PP-LCNet v2",
        builder="edgevid.zoo.pptsm.network:build",
        source=PPTSM,
        options={"backbone": "lcnet_v2", "dropout": 0.2, "unscaled_dropout": True},
        facts=Facts(parameters=6_031_760, macs=4_741_275_648, temporal_ops={"TemporalShift": 1}),
    ),
)
