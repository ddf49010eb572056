"""Slow, C2D and I3D: ResNets whose blocks convolve over time."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec, Preprocessing

SLOWFAST = "Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019"
HALF = Preprocessing(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225), sampling="dense")
NON_LOCAL = "Wang et al., Non-local Neural Networks, CVPR 2018"
I3D = "Carreira, Zisserman, Quo Vadis, Action Recognition?, CVPR 2017"
DENSE = Preprocessing(sampling="dense")

MODELS = (
    ModelSpec(
        name="slow_r50",
        title="Slow, ResNet-50",
        builder="edgevid.zoo.resnet3d.network:build_slow",
        source=SLOWFAST,
        published="Kinetics-400 top-1 74.58 % (8x8, 10 clips x 3 crops; pytorchvideo model zoo)",
        preprocessing=HALF,
        facts=Facts(parameters=32_454_096, macs=41_740_828_672, temporal_ops={"FrameStack": 9}),
    ),
    ModelSpec(
        name="c2d_r50",
        title="C2D, ResNet-50",
        builder="edgevid.zoo.resnet3d.network:build_c2d",
        source=NON_LOCAL,
        smallest=(4, 64),
        published="Kinetics-400 top-1 71.46 % (8x8, 10 clips x 3 crops; pytorchvideo model zoo)",
        preprocessing=HALF,
        facts=Facts(parameters=24_327_632, macs=19_493_191_680),
    ),
    ModelSpec(
        name="i3d_r50",
        title="I3D, ResNet-50",
        builder="edgevid.zoo.resnet3d.network:build_i3d",
        source=I3D,
        smallest=(4, 64),
        published="Kinetics-400 top-1 73.27 % (8x8, 10 clips x 3 crops; pytorchvideo model zoo)",
        preprocessing=HALF,
        facts=Facts(parameters=28_043_472, macs=28_407_660_544, temporal_ops={"FrameStack": 10}),
    ),
    ModelSpec(
        name="i3d_r50_32x2",
        title="I3D, ResNet-50, 32 frames",
        builder="edgevid.zoo.resnet3d.network:build_i3d_32x2",
        source=I3D,
        frames=32,
        smallest=(16, 64),
        published="Kinetics-400 top-1 73.47 % (32x2, 10 clips x 3 crops; MMAction2 model zoo)",
        preprocessing=DENSE,
        facts=Facts(parameters=28_043_472, macs=28_407_660_544, temporal_ops={"FrameStack": 10}),
    ),
    ModelSpec(
        name="i3d_r50_nl",
        title="I3D, ResNet-50, non-local blocks (dot product)",
        builder="edgevid.zoo.resnet3d.network:build_i3d_32x2",
        source=NON_LOCAL,
        options={"pairwise": "dot_product"},
        frames=32,
        smallest=(16, 64),
        published="Kinetics-400 top-1 74.80 % (32x2, 10 clips x 3 crops; MMAction2 model zoo)",
        preprocessing=DENSE,
        facts=Facts(parameters=35_397_840, macs=37_913_001_984, temporal_ops={"FrameStack": 10}),
    ),
    ModelSpec(
        name="i3d_r50_nl_embedded",
        title="I3D, ResNet-50, non-local blocks (embedded gaussian)",
        builder="edgevid.zoo.resnet3d.network:build_i3d_32x2",
        source=NON_LOCAL,
        options={"pairwise": "embedded_gaussian"},
        frames=32,
        smallest=(16, 64),
        published="Kinetics-400 top-1 74.73 % (32x2, 10 clips x 3 crops; MMAction2 model zoo)",
        preprocessing=DENSE,
        facts=Facts(parameters=35_397_840, macs=39_618_183_168, temporal_ops={"FrameStack": 10}),
    ),
    ModelSpec(
        name="i3d_r50_nl_gaussian",
        title="I3D, ResNet-50, non-local blocks (gaussian)",
        builder="edgevid.zoo.resnet3d.network:build_i3d_32x2",
        source=NON_LOCAL,
        options={"pairwise": "gaussian"},
        frames=32,
        smallest=(16, 64),
        published="Kinetics-400 top-1 73.97 % (32x2, 10 clips x 3 crops; MMAction2 model zoo)",
        preprocessing=DENSE,
        facts=Facts(parameters=31_723_728, macs=37_002_608_640, temporal_ops={"FrameStack": 10}),
    ),
)
