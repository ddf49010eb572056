"""The networks. One file per family; here is the list of them, readable without torch.

To add a network, write its builder in a file of its family and register a ``ModelSpec`` here: listing,
export, streaming, costs, benchmarks and the tests over all models follow by themselves.
"""

from __future__ import annotations

from edgevid.registry import Registry
from edgevid.specs import ModelSpec

MODELS: Registry[ModelSpec] = Registry("model", "models")

_SEGMENTS = "edgevid.zoo.segments:build"
_TSN = "Wang et al., Temporal Segment Networks, ECCV 2016"
_TSM = "Lin, Gan, Han, TSM: Temporal Shift Module, ICCV 2019"
_STM = "Jiang et al., STM: SpatioTemporal and Motion Encoding, ICCV 2019"


def _segments(name: str, title: str, source: str, backbone: str, shift: str | None, **fields: object) -> None:
    options = {"backbone": backbone, "shift": shift}
    MODELS.register(name, ModelSpec(name, title, _SEGMENTS, source, options, **fields))


_segments("tsn_mbv2", "TSN, MobileNetV2", _TSN, "mobilenet_v2", None, causal=True)
_segments("tsn_r50", "TSN, ResNet-50", _TSN, "resnet50", None, causal=True)
_segments("tsm_mbv2", "TSM, MobileNetV2", _TSM, "mobilenet_v2", "two-way", online="tsm_mbv2_online")
_segments("tsm_r50", "TSM, ResNet-50", _TSM, "resnet50", "two-way", online="tsm_r50_online")
_segments("tsm_r101", "TSM, ResNet-101", _TSM, "resnet101", "two-way")
_segments("tsm_rx101", "TSM, ResNeXt-101 32x8d", _TSM, "resnext101_32x8d", "two-way")
_segments("tsm_mbv2_online", "Online TSM, MobileNetV2", _TSM, "mobilenet_v2", "causal", causal=True)
_segments("tsm_r50_online", "Online TSM, ResNet-50", _TSM, "resnet50", "causal", causal=True)


def _stm(name: str, title: str, direction: str, **fields: object) -> None:
    options = {"direction": direction}
    MODELS.register(name, ModelSpec(name, title, "edgevid.zoo.stm:build", _STM, options, **fields))


_stm("stm_r50", "STM, ResNet-50", "two-way", online="stm_r50_online")
_stm("stm_r50_online", "Causal STM, ResNet-50", "causal", causal=True)
