"""From a name to a bundle: build -> trace -> passes -> compile -> check -> bundle."""

from __future__ import annotations

import contextlib
import datetime
import gc
import importlib.metadata
import logging
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgevid import __version__, parity
from edgevid.backends import Compiled, Job
from edgevid.bundle.bundle import LABELS, Bundle, write_manifest, writing
from edgevid.errors import EdgevidError, ParityError
from edgevid.exporter import check
from edgevid.exporter.build import build
from edgevid.exporter.calibration import CalibratedJob, Calibration, CalibrationClips, load_clips
from edgevid.exporter.companions import compile_all
from edgevid.exporter.costs import count_macs, weight_bytes
from edgevid.exporter.dynamic import write_dynamic
from edgevid.exporter.example import (
    Example,
    answering_by_frame,
    describe_input,
    describe_outputs,
    eager_example,
    evaluating,
)
from edgevid.exporter.lint import lint
from edgevid.exporter.randomness import refuse_random_nodes
from edgevid.exporter.request import SEED, Request, make_request
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.passes.streaming.to_streaming import FRAME, to_streaming
from edgevid.specs import LOCAL_TOLERANCE, Manifest, Parity, PassReport, StateSpec, Weights
from edgevid.video.labels import default_label_set, read_labels
from edgevid.weights.normalization import Numbers

if TYPE_CHECKING:
    import onnx_ir as ir

INSTEAD = {
    "fp16": "use --precision fp32",
    "int8": "calibrate with more videos like those that the network was trained on, or use another precision",
}
"""What to do where an export of a precision is not equal."""

FEWEST_FRAMES = 2
"""What a stream is traced with at least: a clip of one frame shows nothing of time."""

TOOLS = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")
OPTIONAL_TOOLS = ("apache-tvm", "tensorrt-rtx", "triton")

log = logging.getLogger("edgevid")


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Tracing makes millions of objects that live on: collecting among them takes a seventh of an export."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@collector_paused()
def export(
    model: str | torch.nn.Module,
    target: str = "cpu",
    output: str | os.PathLike | None = None,
    *,
    backend: str | None = None,
    weights: str | os.PathLike | None = None,
    classes: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    stream: bool = False,
    precision: str | None = None,
    calibration: str | os.PathLike | None = None,
    labels: str | None = None,
    ema: bool = False,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    color: str | None = None,
    force: bool = False,
    dynamic_batch: bool = False,
    dynamic_frames: bool = False,
    dynamic_size: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """Export a network (a name, ``package.module:callable``, or a module) to a bundle, proven equal to it.

    ``weights`` is a checkpoint (random weights without one), of which ``ema`` takes the averaged weights if
    it has both; ``frames`` and ``size`` (pixels) give the clip, ``stream`` makes a network that takes one
    frame at a time, ``labels`` names a label set or file. ``calibration`` is a folder of videos, on which
    ``precision="int8"`` measures its ranges.
    ``mean``, ``std`` (three numbers of pixels from 0 to 1, or from 0 to 255 if one is above 1) and ``color``
    ("RGB" or "BGR", the order of the numbers too) replace what the checkpoint was trained on.
    ``output`` is the bundle's folder, written as a whole or not at all; ``force`` replaces one that exists.
    ``dynamic_batch``, ``dynamic_frames`` and ``dynamic_size`` (height and width) add a file in standard
    operators that takes any number of those; ``ExportError`` names the layer that holds a fixed number.
    ``progress`` is called with a sentence at each step. Raises ``EdgevidError`` with what to do, its kind
    ``ParityError`` if the export does not compute what PyTorch does.
    """
    request = make_request(
        model, target, output, backend=backend, weights=weights, classes=classes, frames=frames, size=size,
        stream=stream, precision=precision, labels=labels, ema=ema, force=force,
        mean=mean, std=std, color=color,
        dynamic=("batch",) * dynamic_batch + ("frames",) * dynamic_frames + ("size",) * dynamic_size,
        calibration=calibration,
    )  # fmt: skip
    progress(f"building {request.spec.name}")
    network, source, preprocessing = build(request)
    request = replace(request, spec=replace(request.spec, preprocessing=preprocessing))
    example = eager_example(network, request)
    warnings = lint(network, example, request)
    for sentence in warnings:
        log.warning(sentence)
    clips = None
    if request.calibration is not None:
        progress(f"reading clips of the videos in {request.calibration}")
        clips = load_clips(request.calibration, request.spec, request.frames, SEED)
    progress("tracing")
    graph = _trace(network, request, example)
    progress("rewriting the graph")
    passes, states = _rewrite(graph, request, example)
    macs, size_bytes = count_macs(graph), weight_bytes(graph)
    calibrated = None
    if clips is not None:
        progress(f"measuring ranges on {len(clips.measured)} clips of {clips.videos} videos")
        calibrated = Calibration.measure(
            graph, states, clips, _answers(network, request, example, clips), SEED
        )
        example = Example(clips.held_out[0], calibrated.wanted[0])
    with writing(request.output) as folder:
        compiled = compile_all(request, graph, _job(request, states, example, calibrated), folder, progress)
        if request.dynamic:
            dynamic = write_dynamic(network, request, example, folder)
            compiled = replace(compiled, artefacts=(*compiled.artefacts, dynamic))
        parity.save(folder, example.array, example.outputs)
        label_set = _write_labels(request, example.classes, folder)
        manifest = Manifest(
            model=request.spec.name,
            source=request.spec.source,
            target=request.target.name,
            backend=request.backend.name,
            precision=request.precision,
            streaming=stream,
            frames=request.frames,
            classes=example.classes,
            inputs=(describe_input(request),),
            outputs=describe_outputs(example, stream),
            states=states,
            preprocessing=request.spec.preprocessing,
            weights=Weights(**source, parameters=_parameters(network), size_bytes=size_bytes),
            macs=macs,
            parity=Parity(0.0, 0.0, 0.0),
            artefacts=compiled.artefacts,
            model_file=compiled.model_file,
            labels=label_set,
            passes=passes + compiled.passes,
            kernels=compiled.kernels,
            not_run=compiled.not_run,
            warnings=warnings,
            calibration=calibrated.record(compiled.float_layers) if calibrated else {},
            plan=dict(compiled.plan),
            tools=_tools(),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        )
        progress("comparing with PyTorch")
        write_manifest(folder, _checked(manifest, compiled, folder, calibrated))
    return Bundle.open(request.output)


def _trace(network: torch.nn.Module, request: Request, example: Example) -> ir.Model:
    """Of a whole clip, a stream too: one frame alone does not show where the network looks."""
    frames = max(request.frames, FEWEST_FRAMES) if request.streaming else request.frames
    shape = request.spec.input_shape(frames, request.size)
    with evaluating(network), answering_by_frame(network, request):
        return trace(network, torch.zeros(shape), request.spec.input, tuple(example.outputs))


def _rewrite(
    graph: ir.Model, request: Request, example: Example
) -> tuple[tuple[PassReport, ...], tuple[StateSpec, ...]]:
    """Simplify the graph in place, for streams with states; the reports of what was done, and the states."""
    reports = run_passes(graph, STANDARD)
    refuse_random_nodes(request.spec.name, graph, example.random_operators)
    if not request.streaming:
        return reports, ()
    report, states = to_streaming(graph)
    return (*reports, report, *run_passes(graph, (remove_no_ops,))), states


def _answers(
    network: torch.nn.Module, request: Request, example: Example, clips: CalibrationClips
) -> tuple[dict[str, np.ndarray], ...]:
    """The eager network's outputs for each held-out clip, named as the example's."""
    forward = getattr(network, "frame_logits", network) if request.streaming else network
    with evaluating(network), torch.no_grad():
        answers = [forward(torch.from_numpy(clip.copy())) for clip in clips.held_out]
    if isinstance(answers[0], dict):
        return tuple({name: value.float().numpy() for name, value in answer.items()} for answer in answers)
    (name,) = example.outputs
    return tuple({name: (a[0] if request.streaming else a).float().numpy()} for a in answers)


def _job(request: Request, states: tuple, example: Example, calibrated: Calibration | None) -> Job:
    given, wanted = {request.spec.input: example.array}, example.outputs
    if request.streaming:
        zeros = {state.input: np.full(state.shape, state.initial, state.dtype) for state in states}
        given = {FRAME: example.array[:, 0], **zeros}
        wanted = {name: array[:1] for name, array in wanted.items()}
    known = (request.spec.name, request.target, request.precision, states, given, wanted)
    return Job(*known) if calibrated is None else CalibratedJob(*known, calibration=calibrated)


def _checked(
    manifest: Manifest, compiled: Compiled, folder: Path, calibrated: Calibration | None
) -> Manifest:
    """The manifest with the parity of each model file; ``ParityError`` if the one asked for is not equal.

    Another precision that comes along is left out if it is not equal, and the manifest says so.
    """
    artefacts, not_run = [], list(manifest.not_run)
    for artefact in compiled.artefacts:
        bundle = Bundle(folder, manifest)
        if calibrated is not None and artefact.precision == "int8":
            measured = calibrated.judge(bundle, artefact)
        else:
            measured = check.check_artefact(bundle, artefact)
        distance = f"max|a-b| / max|b| = {measured.max_rel:.2e}, tolerance {measured.tolerance:g}"
        if measured.local_error is not None:
            distance += (
                f"; of the worst layer alone {measured.local_error:.2f}, tolerance {LOCAL_TOLERANCE:g}"
            )
        if measured.ok:
            artefacts.append(replace(artefact, parity=measured))
        elif artefact.precision != manifest.precision:
            (folder / artefact.file).unlink()
            not_run.append(f"{artefact.file}, left out because it is not equal to PyTorch ({distance})")
        else:
            instead = _of_stream(manifest) if manifest.streaming else "please report the network"
            raise ParityError(
                f"{artefact.file} does not compute what PyTorch does: {distance} ({artefact.precision}). "
                "Nothing was written; " + INSTEAD.get(artefact.precision, instead)
            )
    main = next(artefact for artefact in artefacts if artefact.file == compiled.model_file)
    return replace(manifest, artefacts=tuple(artefacts), parity=main.parity, not_run=tuple(not_run))


def _of_stream(manifest: Manifest) -> str:
    """What may be wrong where a clip's answers differ from those frame by frame."""
    kept = ", ".join(dict.fromkeys(state.op for state in manifest.states)) or "none"
    return (
        f"the layers that keep frames are {kept}: look whether another one sees more than its own frame, "
        "or export without --stream"
    )


def _write_labels(request: Request, classes: int, folder: Path) -> str | None:
    name = request.labels or default_label_set(classes)
    if name is None:
        return None
    if not classes:
        raise EdgevidError(f"{request.spec.name} gives no logits to label: leave out --labels")
    labels = read_labels(name)
    if len(labels) != classes:
        raise EdgevidError(
            f"label set '{name}' has {len(labels)} labels, the network {classes} classes: choose another"
        )
    (folder / LABELS).write_text("\n".join(labels) + "\n", "utf-8")
    return Path(name).stem if Path(name).is_file() else name


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _tools() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    for name in OPTIONAL_TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"edgevid": __version__, "python": platform.python_version(), **versions}
