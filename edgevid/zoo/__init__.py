"""The networks. One file per family; here is the list of them, readable without torch.

To add a network, write its builder in a file of its family and register a ``ModelSpec`` here; what it is made
of is a line in ``facts.py``, which ``python -m edgevid.zoo.measure NAME`` prints. Listing, export, streaming,
costs, benchmarks and the tests over all models follow by themselves.
"""

from __future__ import annotations

from typing import Any

from edgevid.registry import Registry, instance_of
from edgevid.specs import ModelSpec, Preprocessing

MODELS: Registry[ModelSpec] = Registry("model", "models", instance_of(ModelSpec))

_SEGMENTS = "edgevid.zoo.segments:build"
_TSN = "Wang et al., Temporal Segment Networks, ECCV 2016"
_TSM = "Lin, Gan, Han, TSM: Temporal Shift Module, ICCV 2019"
_STM = "Jiang et al., STM: SpatioTemporal and Motion Encoding, ICCV 2019"
_SLOWFAST = "Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019"
_NON_LOCAL = "Wang et al., Non-local Neural Networks, CVPR 2018"
_I3D = "Carreira, Zisserman, Quo Vadis, Action Recognition?, CVPR 2017"
_C3D = "Tran et al., Learning Spatiotemporal Features with 3D Convolutional Networks, ICCV 2015"
_R2PLUS1D = "Tran et al., A Closer Look at Spatiotemporal Convolutions, CVPR 2018"
_ACTION = "Wang, She, Smolic, ACTION-Net: Multipath Excitation, CVPR 2021"
_TEA = "Li et al., TEA: Temporal Excitation and Aggregation, CVPR 2020"


# TSM's code, ops/models.py: flow in [0, 1], 0.5 being no motion, over the mean of the colours' deviations.
_FLOW = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.226, 0.226, 0.226))
_KINETICS = "Kinetics-400 top-1 {} % (8 frames x 10 clips, dense sampling; TSM README)"


def _segments(
    name: str,
    title: str,
    source: str,
    backbone: str,
    shift: str | None,
    options: dict[str, object] | None = None,
    builder: str = _SEGMENTS,
    **fields: object,
) -> None:
    options = {"backbone": backbone, "shift": shift, **(options or {})}
    MODELS.register(name, ModelSpec(name, title, builder, source, options, **fields))


_segments("tsn_mbv2", "TSN, MobileNetV2", _TSN, "mobilenet_v2", None, causal=True)
_segments("tsn_r50", "TSN, ResNet-50", _TSN, "resnet50", None, causal=True, published=_KINETICS.format(70.6))
_segments(
    "tsn_r50_flow", "TSN, ResNet-50, optical flow", _TSN, "resnet50", None,
    {"modality": "flow"}, causal=True, channels=10, preprocessing=_FLOW,
)  # fmt: skip
_segments(
    "tsn_r50_rgb_difference", "TSN, ResNet-50, differences of RGB frames", _TSN, "resnet50", None,
    {"modality": "rgb_difference"}, causal=True, channels=18,
)  # fmt: skip
_segments(
    "tsn_r50_two_stream", "TSN, two ResNet-50, RGB and optical flow", _TSN, "resnet50", None,
    builder="edgevid.zoo.two_stream:build", causal=True, channels=13,
)  # fmt: skip
_segments(
    "tsm_mbv2", "TSM, MobileNetV2", _TSM, "mobilenet_v2", "two-way",
    online="tsm_mbv2_online", published=_KINETICS.format(69.5),
)  # fmt: skip
_segments(
    "tsm_r50", "TSM, ResNet-50", _TSM, "resnet50", "two-way",
    online="tsm_r50_online", published=_KINETICS.format(74.1),
)  # fmt: skip
_segments(
    "tsm_r101", "TSM, ResNet-101", _TSM, "resnet101", "two-way",
    published="Something-Something top-1 V1 46.9 % (8 frames, centre crop, 1 clip), "
    "V2 63.3 % (8 frames, full resolution, 2 clips; TSM README)",
)  # fmt: skip
_segments(
    "tsm_rx101", "TSM, ResNeXt-101 32x8d", _TSM, "resnext101_32x8d", "two-way",
    published=_KINETICS.format(76.3),
)  # fmt: skip
_segments(
    "tsm_r50_nl", "TSM, ResNet-50, non-local blocks", _TSM, "resnet50", "two-way",
    {"non_local": "embedded_gaussian"}, published=_KINETICS.format(75.6),
)  # fmt: skip
_segments(
    "tsm_r50_nl_dot", "TSM, ResNet-50, non-local blocks (dot product)", _TSM, "resnet50", "two-way",
    {"non_local": "dot_product", "non_local_bias": False},
    published="Kinetics-400 top-1 74.49 % (8 frames, 10 crops; MMAction2 model zoo)",
)  # fmt: skip
_segments(
    "tsm_r50_tpool", "TSM, ResNet-50, temporal pooling", _TSM, "resnet50", "two-way", {"temporal_pool": True}
)
_segments(
    "tsm_r50_flow", "TSM, ResNet-50, optical flow", _TSM, "resnet50", "two-way", {"modality": "flow"},
    published="Kinetics-400 top-1 55.7 %, top-5 79.5 % (8 frames x 1 clip; TSM README)",
    channels=10, preprocessing=_FLOW,
)  # fmt: skip
_segments("tsm_mbv2_online", "Online TSM, MobileNetV2", _TSM, "mobilenet_v2", "causal", causal=True)
_segments("tsm_r50_online", "Online TSM, ResNet-50", _TSM, "resnet50", "causal", causal=True)


_FPN = "Lin et al., Feature Pyramid Networks, CVPR 2017; Lin, Gan, Han, TSM, ICCV 2019"


def _fpn(name: str, title: str, shift: str, **fields: object) -> None:
    MODELS.register(
        name, ModelSpec(name, title, "edgevid.zoo.fpn:build", _FPN, {"shift": shift}, classes=0, **fields)
    )


_fpn("tsm_r50_fpn", "TSM, ResNet-50, feature pyramid", "two-way", online="tsm_r50_fpn_online")
_fpn("tsm_r50_fpn_online", "Online TSM, ResNet-50, feature pyramid", "causal", causal=True)


_PPTSM = "PP-TSM: PaddlePaddle authors, PaddleVideo, 2021, github.com/PaddlePaddle/PaddleVideo"


def _pptsm(name: str, title: str, backbone: str, published: str = "", **options: object) -> None:
    options = {"backbone": backbone, **options}
    MODELS.register(
        name, ModelSpec(name, title, "edgevid.zoo.pptsm:build", _PPTSM, options, published=published)
    )


_pptsm(
    "pptsm_r50vd", "PP-TSM, ResNet-50-vd", "resnet50_vd",
    "Kinetics-400 top-1 75.11 % (8 frames; 76.16 % with distillation, dense sampling; PaddleVideo docs)",
)  # fmt: skip
_pptsm("pptsm_r101vd", "PP-TSM, ResNet-101-vd", "resnet101_vd")
_pptsm(
    "pptsm_mbv2", "PP-TSM, MobileNetV2", "mobilenet_v2",
    "Kinetics-400 top-1 68.09 % (8 frames; PaddleVideo docs)",
)  # fmt: skip
_pptsm("pptsm_lcnet_v2", "PP-TSM v2, PP-LCNet v2", "lcnet_v2", dropout=0.2, unscaled_dropout=True)


def _stm(name: str, title: str, direction: str, **fields: object) -> None:
    options = {"direction": direction}
    MODELS.register(name, ModelSpec(name, title, "edgevid.zoo.stm:build", _STM, options, **fields))


_stm(
    "stm_r50", "STM, ResNet-50", "two-way", online="stm_r50_online",
    published="Kinetics-400 top-1 73.7 %, Something-Something top-1 V1 50.7 %, V2 64.2 % "
    "(16 frames; a leaderboard page, which does not tell the clips and crops)",
)  # fmt: skip
_stm("stm_r50_online", "Causal STM, ResNet-50", "causal", causal=True)


_VIEWS = "Kinetics-400 top-1 {} % ({}, 10 clips x 3 crops; {} model zoo)"
_HALF = Preprocessing(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225), sampling="dense")
_DENSE = Preprocessing(sampling="dense")


def _volumes(name: str, title: str, source: str, builder: str, **fields: object) -> None:
    MODELS.register(name, ModelSpec(name, title, f"edgevid.zoo.{builder}", source, **fields))


_volumes(
    "slowfast_r50_8x8", "SlowFast 8x8, ResNet-50", _SLOWFAST, "slowfast:build",
    options={"alpha": 4, "lateral_taps": 7}, frames=32, smallest=(8, 64), preprocessing=_HALF,
    published=_VIEWS.format(76.94, "8x8", "pytorchvideo"),
)  # fmt: skip
_volumes(
    "slowfast_r50_4x16", "SlowFast 4x16, ResNet-50", _SLOWFAST, "slowfast:build",
    options={"alpha": 8, "lateral_taps": 5}, frames=32, smallest=(16, 64), preprocessing=_HALF,
    published=_VIEWS.format(75.34, "4x16", "pytorchvideo"),
)  # fmt: skip
_volumes(
    "slow_r50", "Slow, ResNet-50", _SLOWFAST, "resnet3d:build_slow", preprocessing=_HALF,
    published=_VIEWS.format(74.58, "8x8", "pytorchvideo"),
)  # fmt: skip
_volumes(
    "c2d_r50", "C2D, ResNet-50", _NON_LOCAL, "resnet3d:build_c2d", smallest=(4, 64), preprocessing=_HALF,
    published=_VIEWS.format(71.46, "8x8", "pytorchvideo"),
)  # fmt: skip
_volumes(
    "i3d_r50", "I3D, ResNet-50", _I3D, "resnet3d:build_i3d", smallest=(4, 64), preprocessing=_HALF,
    published=_VIEWS.format(73.27, "8x8", "pytorchvideo"),
)  # fmt: skip
_volumes(
    "i3d_r50_32x2", "I3D, ResNet-50, 32 frames", _I3D, "resnet3d:build_i3d_32x2", frames=32,
    smallest=(16, 64), preprocessing=_DENSE, published=_VIEWS.format(73.47, "32x2", "MMAction2"),
)  # fmt: skip
for _name, _pairwise, _top1 in (
    ("i3d_r50_nl", "dot_product", "74.80"),
    ("i3d_r50_nl_embedded", "embedded_gaussian", "74.73"),
    ("i3d_r50_nl_gaussian", "gaussian", "73.97"),
):
    _volumes(
        _name, f"I3D, ResNet-50, non-local blocks ({_pairwise.replace('_', ' ')})", _NON_LOCAL,
        "resnet3d:build_i3d_32x2", options={"pairwise": _pairwise}, frames=32, smallest=(16, 64),
        preprocessing=_DENSE, published=_VIEWS.format(_top1, "32x2", "MMAction2"),
    )  # fmt: skip
_volumes(
    "c3d", "C3D", _C3D, "c3d:build", frames=16, size=112, classes=101, smallest=(16, 112),
    # MMAction2 subtracts the means of Sports-1M from RGB values from 0 to 255, and does not scale them.
    preprocessing=Preprocessing(
        mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255, 1 / 255, 1 / 255), sampling="dense"
    ),
    published="UCF-101 top-1 83.08 % (16 frames, 10 clips x 1 crop; MMAction2 model zoo)",
)  # fmt: skip
_volumes(
    "r2plus1d_r34", "R(2+1)D, ResNet-34", _R2PLUS1D, "r2plus1d:build", size=112, smallest=(8, 64),
    preprocessing=_DENSE,
    published=_VIEWS.format(69.76, "8x8, 224 pixels", "MMAction2"),
)  # fmt: skip


def _action(name: str, title: str, backbone: str, direction: str, **fields: object) -> None:
    options = {"backbone": backbone, "direction": direction}
    MODELS.register(name, ModelSpec(name, title, "edgevid.zoo.action_net:build", _ACTION, options, **fields))


_action(
    "action_r50", "ACTION-Net, ResNet-50", "resnet50", "two-way", online="action_r50_online",
    published="Something-Something V2 top-1 64.0 % "
    "(16 frames; an aggregator page, which does not tell the clips and crops)",
)  # fmt: skip
_action("action_r50_online", "Causal ACTION-Net, ResNet-50", "resnet50", "causal", causal=True)
_action("action_mbv2", "ACTION-Net, MobileNetV2", "mobilenet_v2", "two-way", online="action_mbv2_online")
_action("action_mbv2_online", "Causal ACTION-Net, MobileNetV2", "mobilenet_v2", "causal", causal=True)
_action(
    "action_bninception", "ACTION-Net, BN-Inception", "bn_inception", "two-way",
    # As the authors' code feeds it: BGR from 0 to 255, and then the mean and deviation of RGB from 0 to 1.
    preprocessing=Preprocessing(
        mean=(0.485 / 255, 0.456 / 255, 0.406 / 255),
        std=(0.229 / 255, 0.224 / 255, 0.225 / 255),
        color="BGR",
    ),
)  # fmt: skip


def _tea(name: str, title: str, direction: str, **fields: object) -> None:
    options = {"direction": direction}
    MODELS.register(name, ModelSpec(name, title, "edgevid.zoo.tea:build", _TEA, options, **fields))


_tea("tea_r50", "TEA, Res2Net-50", "two-way", online="tea_r50_online")
_tea("tea_r50_online", "Causal TEA, Res2Net-50", "causal", causal=True)


_CHANNELNETS = "Gao, Wang, Ji, ChannelNets, NeurIPS 2018"
_MOBILENET = "Howard et al., MobileNets: Efficient CNNs for Mobile Vision Applications, 2017"
_SHUFFLENET = "Zhang et al., ShuffleNet: An Extremely Efficient CNN for Mobile Devices, CVPR 2018"


def _image(name: str, title: str, builder: str, source: str, published: str, **fields: Any) -> None:
    fields = {"options": {}, "smallest": (1, 64), "published": f"ImageNet top-1 {published}", **fields}
    spec = ModelSpec(name, title, builder, source, input="image", frames=1, classes=1000, **fields)
    MODELS.register(name, spec)


def _channelnet(
    name: str, title: str, top1: float, compress_last: bool, classifier: str, **fields: Any
) -> None:
    _image(
        name, title, "edgevid.zoo.channelnet:build", _CHANNELNETS,
        f"{top1} % (1 centre crop of 224x224; the paper)",
        options={"compress_last": compress_last, "classifier": classifier}, **fields,
    )  # fmt: skip


_channelnet("channelnet_v1", "ChannelNet v1", 70.5, False, "linear")
_channelnet("channelnet_v2", "ChannelNet v2", 69.5, True, "linear")
_channelnet("channelnet_v3", "ChannelNet v3", 66.7, True, "volume", smallest=(1, 224))
_image(
    "mobilenet_v1", "MobileNet v1", "edgevid.zoo.mobilenet_v1:build", _MOBILENET,
    "70.6 % (224x224; README of ChannelNets, which does not tell the crops)",
)  # fmt: skip
_image(
    "shufflenet_v1", "ShuffleNet v1, 3 groups", "edgevid.zoo.shufflenet_v1:build", _SHUFFLENET,
    "68.13 % (224x224; MMClassification model zoo, which does not tell the crops)",
)  # fmt: skip
