"""SlowFast."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec, Preprocessing

SLOWFAST = "Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019"
HALF = Preprocessing(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225), sampling="dense")

MODELS = (
    ModelSpec(
        name="slowfast_r50_8x8",
        title="SlowFast 8x8, ResNet-50",
        builder="edgevid.zoo.slowfast.network:build",
        source=SLOWFAST,
        options={"alpha": 4, "lateral_taps": 7},
        frames=32,
        smallest=(8, 64),
        published="Kinetics-400 top-1 76.94 % (8x8, 10 clips x 3 crops; pytorchvideo model zoo)",
        preprocessing=HALF,
        facts=Facts(parameters=34_566_488, macs=50_308_583_424, temporal_ops={"FrameStack": 30}),
    ),
    ModelSpec(
        name="slowfast_r50_4x16",
        title="SlowFast 4x16, ResNet-50",
        builder="edgevid.zoo.slowfast.network:build",
        source=SLOWFAST,
        options={"alpha": 8, "lateral_taps": 5},
        frames=32,
        smallest=(16, 64),
        published="Kinetics-400 top-1 75.34 % (4x16, 10 clips x 3 crops; pytorchvideo model zoo)",
        preprocessing=HALF,
        facts=Facts(parameters=34_480_216, macs=27_638_665_216, temporal_ops={"FrameStack": 30}),
    ),
)
