"""Calibration of int8: some clips of the user's videos give the tensor ranges, the others the error."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.errors import EdgevidError, VideoError
from edgevid.exporter.float_layers import FloatLayers, choose_float_layers
from edgevid.parity import compare, joined
from edgevid.passes.quantize.ranges import CLIPPED_SHARE, layer_errors, measure_ranges
from edgevid.specs import LOGITS, TOLERANCE, Artefact, ModelSpec, Parity, Preprocessing, StateSpec
from edgevid.video.clips import read_clip
from edgevid.video.files import videos_in
from edgevid.video.preprocess import EXACT
from edgevid.video.sampling import DENSE_WINDOW

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from edgevid.exporter.check import OpenModel
    from edgevid.passes.quantize.quantize import Exclusions

MAX_VIDEOS, CLIPS, CLIPS_PER_VIDEO = 20, 16, 2
HELD_OUT = 5
"""Every fifth video is held out: no range is measured on it, only the distance of int8 from float32."""

log = logging.getLogger("edgevid")


@dataclass(frozen=True)
class CalibrationClips:
    """Preprocessed float32 arrays ``(1, T, 3, H, W)``, ``(1, 3, H, W)`` for image classifiers.

    Their values are rounded to fp16, so that a bundle holds them exactly. ``skipped`` says in sentences which
    videos could not be read.
    """

    measured: tuple[np.ndarray, ...]
    held_out: tuple[np.ndarray, ...]
    videos: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """What int8 is quantized with and checked against: ``expected`` is eager outputs of each held-out clip.

    ``ranges`` holds (min, max) of the tensors of ``float_model``, by name.
    """

    clips: CalibrationClips
    ranges: Mapping[str, tuple[float, float]]
    float_model: onnx.ModelProto
    expected: tuple[Mapping[str, np.ndarray], ...]
    states: tuple[StateSpec, ...]
    seed: int

    @classmethod
    def measure(
        cls,
        graph: ir.Model,
        states: tuple[StateSpec, ...],
        clips: CalibrationClips,
        expected: tuple[Mapping[str, np.ndarray], ...],
        seed: int,
    ) -> Calibration:
        import onnx_ir as ir

        ranges = measure_ranges(graph, clips.measured, states)
        return cls(clips, ranges, ir.to_proto(graph), expected, states, seed)

    def record(self, float_layers: Mapping[str, str]) -> dict[str, Any]:
        """The manifest's record of the calibration."""
        return {
            "videos": self.clips.videos,
            "clips": len(self.clips.measured),
            "held_out": len(self.clips.held_out),
            "outliers": CLIPPED_SHARE,
            "seed": self.seed,
            "preprocessing": EXACT,
            "skipped": list(self.clips.skipped),
            "float_layers": dict(float_layers),
        }

    def evaluate(self, model: OpenModel, artefact: Artefact, path: Path) -> Parity:
        """Compare an int8 ONNX file with float on the held-out clips: its outputs, and layer by layer."""
        import onnx

        outputs = [model.run_clip(clip) for clip in self.clips.held_out]
        result, expected = (joined(parts, self.expected[0]) for parts in (outputs, self.expected))
        parity = compare(result, expected, TOLERANCE[artefact.precision])
        quantized = onnx.load(path)
        errors = layer_errors(self.float_model, quantized, self.clips.held_out, model.states)
        return replace(
            parity,
            clips=len(outputs),
            top1_agreement=top1_agreement(result, expected),
            local_error=max(errors.values(), default=0.0),
        )

    def choose_float_layers(
        self, graph: ir.Model, quantize: Callable[[ir.Model, Exclusions], object]
    ) -> FloatLayers:
        """The layers of ``graph`` that must stay in float; see ``float_layers``."""
        return choose_float_layers(graph, quantize, self, self.states)


def top1_agreement(result: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float | None:
    """The share of rows of the logits with the same top-1 class; None for a network without logits."""
    if LOGITS not in expected:
        return None
    return float((result[LOGITS].argmax(-1) == expected[LOGITS].argmax(-1)).mean())


def find_videos(folder: str | os.PathLike) -> list[Path]:
    """Videos in ``folder`` and below, in the order of ``videos_in``; ``EdgevidError`` if there are none."""
    root = Path(folder)
    if not root.is_dir():
        raise EdgevidError(f"--calibration: '{root}' is not a folder: pass one that contains videos")
    videos = videos_in(root)
    if not videos:
        raise EdgevidError(
            f"--calibration: '{root}' contains no videos (.mp4, .mkv, .ts or anything else that FFmpeg "
            "reads): add some like those that the network will see"
        )
    return videos


def check_calibration(folder: str | os.PathLike | None, precision: str, spec: ModelSpec) -> None:
    """Refuse, before any work is done, int8 without videos, and videos without int8."""
    if folder is not None and precision != "int8":
        raise EdgevidError(f"--calibration is only for --precision int8, not {precision}: leave it out")
    if precision != "int8":
        return
    if folder is None:
        raise EdgevidError(
            "--precision int8 needs --calibration DIR: a folder of videos like those that the network will "
            "see, on which the ranges of its tensors are measured"
        )
    if spec.channels != 3:
        raise EdgevidError(
            f"{spec.name} takes {spec.channels} channels, not RGB frames, so videos cannot calibrate it: "
            "use --precision fp16 or fp32"
        )
    find_videos(folder)


def load_clips(folder: str | os.PathLike, spec: ModelSpec, frames: int, seed: int) -> CalibrationClips:
    """A few clips of each of at most ``MAX_VIDEOS`` videos; ``seed`` selects videos and frames.

    Every fifth video is held out, or every fifth clip of a single video. Videos that cannot be read are
    skipped with a warning; ``VideoError`` if none can be.
    """
    random = np.random.default_rng(seed)
    paths = find_videos(folder)
    order = random.permutation(len(paths))[:MAX_VIDEOS]
    count = max(CLIPS_PER_VIDEO, math.ceil(CLIPS / len(order)))
    per_video, skipped = [], []
    for path in (paths[index] for index in order):
        try:
            clips = [_read_clip(path, spec.preprocessing, frames, random) for _ in range(count)]
            per_video.append([clip[:, 0] if spec.input == "image" else clip for clip in clips])
        except VideoError as error:
            skipped.append(str(error))
            log.warning("calibration skips a video: %s", error)
    if not per_video:
        raise VideoError(
            f"--calibration: no video in '{folder}' can be read ({skipped[0]}): add videos that play"
        )
    groups = per_video if len(per_video) > 1 else [[clip] for clip in per_video[0]]
    held_out = {0, *range(0, len(groups), HELD_OUT)}
    parts: tuple[list, list] = ([], [])
    for index, group in enumerate(groups):
        parts[index in held_out].extend(group)
    return CalibrationClips(tuple(parts[0]), tuple(parts[1]), len(per_video), tuple(skipped))


def _read_clip(
    path: Path, preprocessing: Preprocessing, frames: int, random: np.random.Generator
) -> np.ndarray:
    """A clip ``(1, T, 3, H, W)`` sampled as in training: a random frame per segment, or a random window."""
    offsets, start = random.random(frames), random.random()

    def choose(total: int) -> np.ndarray:
        if preprocessing.sampling == "dense":
            stride = max(1, DENSE_WINDOW // frames)
            first = int(start * max(1, total - frames * stride + 1))
            return (first + stride * np.arange(frames))[None] % total
        return np.minimum((np.arange(frames) + offsets) * total / frames, total - 1).astype(np.int64)[None]

    data = read_clip(path, preprocessing, (1, frames), choose, exact=True).data
    return data.astype(np.float16).astype(np.float32)
