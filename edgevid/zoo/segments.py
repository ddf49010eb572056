"""Networks that run a 2D CNN on each frame and combine the logits: TSN, and TSM on the same backbones.

Sources: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.1 (average consensus); Lin, Gan, Han,
"TSM", ICCV 2019, section 3.2 (shift in the residual branch, 1/8 of the channels each way), 4.2 (online); the
options are those of TSM's code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from edgevid.errors import EdgevidError
from edgevid.specs.registry import check_choice
from edgevid.zoo.backbones.mobilenet_v2 import mobilenet_v2
from edgevid.zoo.backbones.resnet import BlockShiftBottleneck, resnet50, resnet101, resnext101_32x8d
from edgevid.zoo.consensus import Average, Consensus, make_consensus
from edgevid.zoo.layers.non_local import NonLocal
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.layers.temporal_pool import TemporalPool
from edgevid.zoo.modality import MODALITIES, read_segments

BACKBONES = {
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnext101_32x8d": resnext101_32x8d,
}
PLACES = ("blockres", "block")


class SegmentNetwork(nn.Module):
    """Clip ``(N, T, 3, H, W)`` to logits ``(N, classes)``: the mean over frames of ``frame_logits``.

    ``consensus`` replaces the mean; ``modality`` is the kind of input, RGB frames by default.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        frames: int,
        dropout: float,
        consensus: Consensus | None = None,
        modality: str = "rgb",
    ):
        super().__init__()
        self.frames = frames
        self.modality = modality
        self.backbone = backbone
        self.dropout: nn.Module = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.feature_channels, num_classes)
        nn.init.normal_(self.classifier.weight, 0, 0.001)
        nn.init.zeros_(self.classifier.bias)
        self.consensus = consensus or Average()

    def features(self, clip: torch.Tensor) -> torch.Tensor:
        """Features of each frame, ``(N*T, C)``; of ``ceil(T / 2)`` frames if the backbone pools over time."""
        segments = read_segments(clip, self.modality)
        return self.backbone(segments.flatten(0, 1), clip.shape[1])

    def frame_logits(self, clip: torch.Tensor) -> torch.Tensor:
        """Logits of each frame, ``(N, T, classes)``: the outputs of a causal network in a stream."""
        return self.classifier(self.dropout(self.features(clip))).unflatten(0, (clip.shape[0], -1))

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        by_clip = (clip.shape[0], -1)
        features = self.features(clip)
        logits = self.classifier(self.dropout(features))
        return self.consensus(logits.unflatten(0, by_clip), features.unflatten(0, by_clip))


class FeatureAverage(SegmentNetwork):
    """Averages features over frames and classifies once: the same logits, since the classifier is linear."""

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        features = self.dropout(self.features(clip)).unflatten(0, (clip.shape[0], -1))
        return self.classifier(features.mean(1))


def make_backbone(
    backbone: str,
    shift: str | None,
    shift_div: int,
    place: str = "blockres",
    temporal_pool: bool = False,
    make_non_local: Callable[[int], nn.Module] | None = None,
    channels: int = 3,
    width: float = 1.0,
) -> nn.Module:
    """A backbone on frames, without a shift, or with a shift of ``1/shift_div`` of the channels each way."""
    check_choice("place of a shift", place, PLACES)
    options: dict[str, Any] = {}
    if place == "block":
        options["block"], options["alternate"] = BlockShiftBottleneck, False
    if temporal_pool:
        options["temporal_pool"] = True
    if make_non_local:
        options["make_non_local"] = make_non_local
    if options and not backbone.startswith("res"):
        raise EdgevidError(f"{backbone} has no option {next(iter(options))}: choose a ResNet")
    if channels != 3:
        options["channels"] = channels
    if width != 1:
        options["width"] = width
    make_shift = functools.partial(TemporalShift, shift, shift_div) if shift else None
    return BACKBONES[backbone](make_shift, **options)


def build(
    num_classes: int,
    frames: int,
    backbone: str,
    shift: str | None,
    shift_div: int = 8,
    place: str = "blockres",
    temporal_pool: bool = False,
    non_local: str | None = None,
    non_local_bias: bool | None = None,
    consensus: str = "average",
    modality: str = "rgb",
    dropout: float = 0.5,
    width: float = 1.0,
) -> SegmentNetwork:
    """TSN (no ``shift``), or TSM (bidirectional or causal).

    ``place`` puts the shift into the residual branch ("blockres") or before the whole block ("block");
    ``temporal_pool`` halves the frames after the first stage; ``non_local`` names the pairwise function of
    non-local blocks in stages 2 and 3. ``non_local_bias`` gives their last convolution a bias: by default to
    the embedded Gaussian, as TSM's code does; MMAction2's blocks, of all four functions, have none.
    ``modality`` is rgb, flow (10 channels) or rgb_difference (six frames, 18 channels). ``width`` multiplies
    the channels of the backbone.
    """
    check_choice("modality", modality, MODALITIES)
    if shift == "causal" and (temporal_pool or non_local):
        raise EdgevidError("temporal pooling and non-local blocks read later frames: leave them out online")
    bias = non_local == "embedded_gaussian" if non_local_bias is None else non_local_bias
    make_non_local = functools.partial(NonLocal, pairwise=non_local, out_bias=bias) if non_local else None
    channels = MODALITIES[modality].backbone_channels
    network = make_backbone(backbone, shift, shift_div, place, temporal_pool, make_non_local, channels, width)
    segments = TemporalPool.frames_out(frames) if temporal_pool else frames
    consensus_module = make_consensus(consensus, segments, network.feature_channels)
    return SegmentNetwork(network, num_classes, frames, dropout, consensus_module, modality)
