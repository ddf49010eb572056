"""PP-TSM: TSM on backbones with PaddlePaddle's tweaks, features averaged before the classifier.

Source: PaddleVideo, ``docs/en/model_zoo/recognition/pp-tsm.md`` and ``paddlevideo/modeling/backbones``
(``resnet_tweaks_tsm.py``, ``pptsm_mv2.py``, ``pptsm_v2.py``). Paddle's ``temporal_shift`` takes the first
fold of channels from the frame before and the second from the next, the reverse of TSM, and a fold is ``1 /
frames`` of the channels; for the rounding of folds, see ``TemporalShift``.
"""

from __future__ import annotations

import functools

from edgevid.errors import EdgevidError
from edgevid.zoo.backbones.mobilenet_v2 import mobilenet_v2
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.pptsm.lcnet_v2 import LCNetV2, UnscaledDropout
from edgevid.zoo.pptsm.resnet_vd import resnet50_vd, resnet101_vd
from edgevid.zoo.segments import FeatureAverage

BACKBONES = {
    "resnet50_vd": resnet50_vd,
    "resnet101_vd": resnet101_vd,
    "mobilenet_v2": functools.partial(mobilenet_v2, always_expands=True),
    "lcnet_v2": LCNetV2,
}


def build(
    num_classes: int,
    frames: int,
    backbone: str,
    dropout: float = 0.5,
    unscaled_dropout: bool = False,
    shift_div: int | None = None,
    width: float = 1.0,
) -> FeatureAverage:
    """PP-TSM; ``unscaled_dropout`` multiplies features in evaluation by the keep probability of dropout.

    ``shift_div`` defaults to ``frames``: a network trained on 16 frames shifts 1/16 of the channels each way.
    A single frame has no neighbors, so its shifted channels are zero. ``width`` multiplies the channels of
    the backbone; LCNet v2 has no other width than 1.
    """
    if width != 1 and backbone == "lcnet_v2":
        raise EdgevidError("LCNet v2 has a single width: choose a ResNet or MobileNetV2")
    options = {} if width == 1 else {"width": width}
    make_shift = functools.partial(TemporalShift, "past-first", shift_div or max(frames, 2))
    network = FeatureAverage(BACKBONES[backbone](make_shift, **options), num_classes, frames, dropout)
    if unscaled_dropout:
        network.dropout = UnscaledDropout(dropout)
    return network
