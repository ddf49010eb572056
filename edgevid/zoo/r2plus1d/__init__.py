"""R(2+1)D."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec, Preprocessing

R2PLUS1D = "Tran et al., A Closer Look at Spatiotemporal Convolutions, CVPR 2018"
DENSE = Preprocessing(sampling="dense")

MODELS = (
    ModelSpec(
        name="r2plus1d_r34",
        title="R(2+1)D, ResNet-34",
        builder="edgevid.zoo.r2plus1d.network:build",
        source=R2PLUS1D,
        size=112,
        smallest=(8, 64),
        published="Kinetics-400 top-1 69.76 % (8x8, 224 pixels, 10 clips x 3 crops; MMAction2 model zoo)",
        preprocessing=DENSE,
        facts=Facts(parameters=63_759_281, macs=10_295_232_000, temporal_ops={"FrameStack": 36}),
    ),
)
