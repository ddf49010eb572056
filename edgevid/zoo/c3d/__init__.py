"""C3D."""

from __future__ import annotations

from edgevid.specs import Facts, ModelSpec, Preprocessing

C3D = "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015"
# MMAction2 subtracts the means of Sports-1M from RGB values from 0 to 255, and does not scale them.
PREPROCESSING = Preprocessing(
    mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255, 1 / 255, 1 / 255), sampling="dense"
)

MODELS = (
    ModelSpec(
        name="c3d",
        title="C3D",
        builder="edgevid.zoo.c3d.network:build",
        source=C3D,
        frames=16,
        size=112,
        classes=101,
        smallest=(16, 112),
        published="UCF-101 top-1 83.08 % (16 frames, 10 clips x 1 crop; MMAction2 model zoo)",
        preprocessing=PREPROCESSING,
        facts=Facts(
            parameters=78_409_573,
            macs=38_547_378_176,
            temporal_ops={"FrameStack": 8},
            fixed={"frames": "backbone (C3D)", "size": "backbone (C3D)"},
        ),
    ),
)
