"""Test protocols: which frames and crops of a video a network sees, and how these views are averaged.

A name is one of :data:`NAMED`, which repeat what other projects do when they test, or
``SAMPLING-CLIPSxCROPS``, such as ``dense-10x3``, optionally with ``-full``: the short side of the picture is
then as long as the network's input ("full resolution").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edgevid.benchmarks.evaluation.crops import (
    Crops,
    Resize,
    center_crop,
    center_crop_floored,
    four_to_three,
    round_down,
    round_to_nearest,
    ten_crops,
    three_crops_by_halves,
    three_crops_by_quarters,
)
from edgevid.errors import UnknownNameError
from edgevid.specs.registry import check_choice
from edgevid.video.sampling import DENSE_WINDOW, dense_indices, segment_indices

BUNDLE = "bundle"
"""The protocol of the bundle's own preprocessing: its sampling, one clip, the center crop."""

LOGITS, PROBABILITIES = "logits", "probabilities"

Indices = Callable[[int, int], np.ndarray]
"""From the number of frames of a video, and T, to int64 indices of shape (clips, T), from 0."""


@dataclass(frozen=True)
class Protocol:
    """How a network is tested. A view is one crop of one clip.

    ``average``: of the views' logits, or of their probabilities. ``full``: the short side is as long as the
    crop, else it is in the bundle's proportion to it. ``size`` is the crop's side where the protocol was
    published, None if that is not fixed, ``source`` where it is defined.
    """

    name: str
    indices: Indices
    clips: int
    crops: Crops = center_crop
    crop_count: int = 1
    resize: Resize = round_down
    average: str = LOGITS
    full: bool = False
    size: int | None = None
    source: str = ""

    @property
    def views(self) -> int:
        return self.clips * self.crop_count


def protocol_named(name: str, sampling: str) -> Protocol:
    """The protocol ``name``; ``sampling`` is the bundle's own, for :data:`BUNDLE`.

    Raises ``UnknownNameError`` for a name that is neither known nor of the form ``SAMPLING-CLIPSxCROPS``.
    """
    if name == BUNDLE:
        indices = dense(1) if sampling == "dense" else uniform(1)
        return Protocol(name, indices, 1, source="the bundle's manifest")
    if match := re.fullmatch(r"(uniform|dense)-(\d+)x(\d+)(-full)?", name):
        kind, clips, crops, full = match[1], int(match[2]), int(match[3]), bool(match[4])
        if 1 <= clips <= MAX_CLIPS and crops in GENERIC_CROPS:
            indices = dense(clips) if kind == "dense" else uniform(clips)
            return Protocol(name, indices, clips, GENERIC_CROPS[crops], crops, full=full)
        raise UnknownNameError(
            f"'{name}' has {clips} clips and {crops} crops: use 1 to {MAX_CLIPS} and 1, 3 or 10"
        )
    known = [BUNDLE, *NAMED]
    check_choice("protocol", name, known, f"use {', '.join(known)}, or a form such as dense-10x3-full")
    return replace(NAMED[name], name=name)


def uniform(clips: int) -> Indices:
    """Clips over the whole video, each with one frame of T equal segments: the middle one for a single clip.

    Several start at equal parts of a segment; two are those of ``twice_sample`` of the official TSM code.
    """

    def indices(total_frames: int, frames: int) -> np.ndarray:
        if clips == 1:
            return segment_indices(total_frames, frames)[None]
        tick = total_frames / frames
        return np.array(
            [[int(tick * clip / clips + tick * i) for i in range(frames)] for clip in range(clips)], np.int64
        )

    return indices


def dense(clips: int) -> Indices:
    """Windows of 64 frames, by the official TSM code with ``dense_sample`` (``dense_indices``), for 10 clips.

    ``DenseSampleFrames`` of MMAction2 and the ``dense_sample`` of PaddleVideo's ``Sampler`` are the same.
    """
    return lambda total_frames, frames: dense_indices(total_frames, frames, clips=clips)


def clips_of_3d_networks(total_frames: int, frames: int) -> np.ndarray:
    """``SampleFrames`` of MMAction2 in test mode: 10 clips of T frames, 64 // T apart; they wrap around."""
    stride = max(1, DENSE_WINDOW // frames)
    last_start = max(0, total_frames - ((frames - 1) * stride + 1))
    starts = np.round(np.arange(10) * (last_start / 9.0))
    return ((starts[:, None] + stride * np.arange(frames)) % total_frames).astype(np.int64)


def paddle_segments(total_frames: int, frames: int) -> np.ndarray:
    """``Sampler`` of PaddleVideo with ``valid_mode``: the middle frames of segments of whole frames."""
    length = total_frames // frames
    first = (length - 1) // 2 if length >= 1 else 0
    step = max(1, length)
    return ((first + step * np.arange(frames)) % total_frames)[None].astype(np.int64)


MAX_CLIPS = 100
GENERIC_CROPS: dict[int, Crops] = {1: center_crop, 3: three_crops_by_halves, 10: ten_crops}

_TSM = "mit-han-lab/temporal-shift-module, test_models.py"
_MMACTION2 = "open-mmlab/mmaction2 1.x, configs/recognition"
_PADDLE = "PaddlePaddle/PaddleVideo, configs/recognition"

NAMED: dict[str, Protocol] = {
    "tsm-official": Protocol("", uniform(1), 1, source=_TSM),
    "tsm-official-10crop": Protocol(
        "", uniform(1), 1, ten_crops, 10, source=f"{_TSM} --test_crops=10"
    ),
    "tsm-official-twice": Protocol(
        "", uniform(2), 2, three_crops_by_quarters, 3, full=True, size=256,
        source=f"{_TSM} --test_crops=3 --twice_sample --full_res",
    ),
    "tsm-official-dense": Protocol(
        "", dense(10), 10, three_crops_by_quarters, 3, full=True, size=256,
        source=f"{_TSM} --test_crops=3 --dense_sample --full_res",
    ),
    "mmaction2-tsm": Protocol(
        "", uniform(1), 1, ten_crops, 10, round_to_nearest, PROBABILITIES,
        source=f"{_MMACTION2}/tsm, 1x1x8 kinetics400",
    ),
    "mmaction2-tsm-dense": Protocol(
        "", dense(10), 10, ten_crops, 10, round_to_nearest, PROBABILITIES,
        source=f"{_MMACTION2}/tsm, dense-1x1x8 kinetics400",
    ),
    "mmaction2-tsm-sthv2": Protocol(
        "", uniform(2), 2, three_crops_by_halves, 3, round_to_nearest, PROBABILITIES, full=True, size=256,
        source=f"{_MMACTION2}/tsm, 1x1x8 sthv2",
    ),
    "mmaction2-val": Protocol(
        "", uniform(1), 1, center_crop_floored, 1, round_to_nearest, PROBABILITIES,
        source=f"{_MMACTION2}/tsm, val_pipeline",
    ),
    "mmaction2-3d": Protocol(
        "", clips_of_3d_networks, 10, three_crops_by_halves, 3, round_to_nearest, PROBABILITIES, full=True,
        size=256,
        source=f"{_MMACTION2}/slowfast, i3d, slowonly",
    ),
    "pptsm": Protocol(
        "", paddle_segments, 1, center_crop, 1, four_to_three,
        source=f"{_PADDLE}/pptsm/pptsm_k400_videos_uniform.yaml",
    ),
    "pptsm-dense": Protocol(
        "", dense(10), 10, three_crops_by_quarters, 3, four_to_three,
        source=f"{_PADDLE}/pptsm/pptsm_k400_frames_dense.yaml",
    ),
}  # fmt: skip
"""The test protocols of other projects. Frame indices, sizes and crops are theirs, resizing is Pillow's."""
