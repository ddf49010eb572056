"""The job for a backend's compiler, and the calibration of int8."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from edgevid.backends.protocol import Job
from edgevid.exporter.calibration import Calibration, CalibrationClips, load_clips
from edgevid.exporter.example import Example, eager_outputs
from edgevid.exporter.graph import Graph
from edgevid.exporter.request import SEED, Request
from edgevid.passes.streaming.to_streaming import FRAME


def read_clips(request: Request, progress: Callable[[str], None]) -> CalibrationClips | None:
    """Clips of the calibration videos; None unless the precision is int8."""
    folder = request.options.calibration
    if folder is None:
        return None
    progress(f"reading clips of the videos in {folder}")
    return load_clips(folder, request.spec, request.frames, SEED)


def calibrate(
    network: torch.nn.Module,
    request: Request,
    graph: Graph,
    clips: CalibrationClips | None,
    progress: Callable[[str], None],
) -> Calibration | None:
    """Measure the ranges on ``clips``, and run the eager network on the held-out clips."""
    if clips is None:
        return None
    progress(f"measuring ranges on {len(clips.measured)} clips of {clips.videos} videos")
    expected = tuple(eager_outputs(network, request, clip) for clip in clips.held_out)
    return Calibration.measure(graph.model, graph.states, clips, expected, SEED)


def make_job(request: Request, graph: Graph, example: Example, calibration: Calibration | None) -> Job:
    """A stream's job takes the first frame, with states of zeros."""
    inputs, expected = {request.spec.input: example.array}, example.outputs
    if request.streaming:
        zeros = {state.input: np.full(state.shape, state.initial, state.dtype) for state in graph.states}
        inputs = {FRAME: example.array[:, 0], **zeros}
        expected = {name: array[:1] for name, array in expected.items()}
    return Job(
        request.spec.name, request.target, request.precision, graph.states, inputs, expected, calibration
    )
