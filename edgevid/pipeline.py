"""From a name to a bundle: build -> trace -> passes -> compile -> check -> bundle."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import logging
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevid import __version__, parity
from edgevid.backends import Compiled, Job
from edgevid.bundle import LABELS, Bundle, sha256, write_manifest, writing
from edgevid.costs import count_macs, weight_bytes
from edgevid.errors import EdgevidError, ExportError, ParityError
from edgevid.passes import STANDARD, run_passes
from edgevid.passes.to_streaming import FRAME, states_of, to_streaming
from edgevid.request import Request, make_request
from edgevid.specs import Manifest, Parity, TensorSpec, Weights
from edgevid.trace import INPUT, OUTPUT, trace
from edgevid.video.labels import default_label_set, read_labels
from edgevid.weights import checkpoint_classes, load_weights
from edgevid.weights.read import read_state_dict
from edgevid.zoo.create import create_model

SEED = 0
TOOLS = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")

log = logging.getLogger("edgevid")


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
    labels: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """Export a network (a name, ``package.module:callable``, or a module) to a bundle, proven equal to it.

    ``weights`` is a checkpoint file (random weights without one), ``frames`` and ``size`` (pixels) give the
    clip, ``stream`` makes a network that takes one frame at a time, ``labels`` names a label set or file.
    ``output`` is the bundle's folder, written as a whole or not at all; ``force`` replaces one that exists.
    ``progress`` is called with a sentence at each step. Raises ``EdgevidError`` with what to do, its kind
    ``ParityError`` if the export does not compute what PyTorch does.
    """
    request = make_request(
        model, target, output, backend=backend, weights=weights, classes=classes, frames=frames, size=size,
        stream=stream, precision=precision, labels=labels, force=force,
    )  # fmt: skip
    progress(f"building {request.spec.name}")
    network, source = build(request)
    clip, expected = eager_example(network, request)
    with evaluating(network):
        progress("tracing")
        graph = trace(network, torch.zeros(1, 1 if stream else request.frames, 3, request.size, request.size))
    progress("rewriting the graph")
    states = states_of(graph) if stream else ()
    passes = run_passes(graph, ((to_streaming,) if stream else ()) + STANDARD)
    macs, size_bytes = count_macs(graph), weight_bytes(graph)
    progress(f"compiling for {request.target.name} with {request.backend.name}")
    with writing(request.output) as folder:
        compiled = request.backend.compile(graph, _job(request, states, clip, expected), folder)
        parity.save(folder, clip, expected)
        label_set = _write_labels(request, expected[OUTPUT].shape[-1], folder)
        manifest = Manifest(
            model=request.spec.name,
            source=request.spec.source,
            target=request.target.name,
            backend=request.backend.name,
            precision=request.precision,
            streaming=stream,
            frames=request.frames,
            classes=expected[OUTPUT].shape[-1],
            inputs=(_input(request),),
            outputs=tuple(_output(name, array) for name, array in expected.items()),
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
            tools=_tools(),
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        )
        progress("comparing with PyTorch")
        write_manifest(folder, _checked(manifest, compiled, folder))
    return Bundle.open(request.output)


def build(request: Request) -> tuple[torch.nn.Module, dict[str, str]]:
    """The network with its weights, and where they came from."""
    if request.weights is None:
        network = request.network
        if network is not None:
            return network, {"source": "as the network was given"}
        log.warning("no --weights: %s gets random weights (seed %d)", request.spec.name, SEED)
        return _create(request, request.classes), {"source": f"random (seed {SEED})"}
    state = read_state_dict(request.weights)
    network = request.network
    if network is None:
        network = _create(request, request.classes or checkpoint_classes(state))
    load_weights(network, state)
    return network, {"source": request.weights.name, "sha256": sha256(request.weights)}


def _create(request: Request, classes: int | None) -> torch.nn.Module:
    torch.manual_seed(SEED)
    return create_model(request.spec.name, num_classes=classes or request.spec.classes, frames=request.frames)


def eager_example(network: torch.nn.Module, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A seeded clip and the network's answer: logits ``(1, classes)``, or ``(T, classes)`` for a stream."""
    shape = (1, request.frames, 3, request.size, request.size)
    clip = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    clip = clip.astype(np.float16).astype(np.float32)
    forward = network
    if request.streaming:
        forward = getattr(network, "frame_logits", None)
        if forward is None:
            raise ExportError(
                f"to stream {request.spec.name}, give it a method frame_logits(clip) that returns "
                "(N, T, classes), the logits of each frame, whose mean over T forward returns"
            )
    with evaluating(network), torch.no_grad():
        try:
            logits = forward(torch.from_numpy(clip))
        except Exception as error:  # the user's network may raise anything on a clip it does not take
            raise ExportError(
                f"{request.spec.name} does not take a clip {shape}: {str(error).splitlines()[0]}. "
                "Set --frames and --size to what it takes"
            ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != (3 if request.streaming else 2):
        raise ExportError(f"{request.spec.name} must return logits (N, classes): wrap it so that it does")
    return clip, {OUTPUT: (logits[0] if request.streaming else logits).float().numpy()}


@contextlib.contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode that each module was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _job(request: Request, states: tuple, clip: np.ndarray, expected: dict[str, np.ndarray]) -> Job:
    example, wanted = {INPUT: clip}, expected
    if request.streaming:
        zeros = {state.input: np.full(state.shape, state.initial, state.dtype) for state in states}
        example, wanted = {FRAME: clip[:, 0], **zeros}, {name: array[:1] for name, array in expected.items()}
    return Job(request.spec.name, request.target, request.precision, states, example, wanted)


def _checked(manifest: Manifest, compiled: Compiled, folder: Path) -> Manifest:
    """The manifest with the parity of each model file; ``ParityError`` if the one asked for is not equal.

    Another precision that comes along is left out if it is not equal, and the manifest says so.
    """
    artefacts, not_run = [], list(manifest.not_run)
    for artefact in compiled.artefacts:
        measured = parity.check_artefact(Bundle(folder, manifest), artefact)
        distance = f"max|a-b| / max|b| = {measured.max_rel:.2e}, tolerance {measured.tolerance:g}"
        if measured.ok:
            artefacts.append(replace(artefact, parity=measured))
        elif artefact.precision != manifest.precision:
            (folder / artefact.file).unlink()
            not_run.append(f"{artefact.file}, left out because it is not equal to PyTorch ({distance})")
        else:
            raise ParityError(
                f"{artefact.file} does not compute what PyTorch does: {distance} ({artefact.precision}). "
                "Nothing was written; "
                + ("use --precision fp32" if artefact.precision == "fp16" else "please report the network")
            )
    main = next(artefact for artefact in artefacts if artefact.file == compiled.model_file)
    return replace(manifest, artefacts=tuple(artefacts), parity=main.parity, not_run=tuple(not_run))


def _write_labels(request: Request, classes: int, folder: Path) -> str | None:
    name = request.labels or default_label_set(classes)
    if name is None:
        return None
    labels = read_labels(name)
    if len(labels) != classes:
        raise EdgevidError(
            f"label set '{name}' has {len(labels)} labels, the network {classes} classes: choose another"
        )
    (folder / LABELS).write_text("\n".join(labels) + "\n", "utf-8")
    return Path(name).stem if Path(name).is_file() else name


def _input(request: Request) -> TensorSpec:
    frame = (3, request.size, request.size)
    unit = "normalised colour, see preprocessing"
    if request.streaming:
        return TensorSpec(FRAME, (1, *frame), layout="NCHW", unit=unit)
    return TensorSpec(INPUT, (1, request.frames, *frame), layout="NTCHW", unit=unit)


def _output(name: str, array: np.ndarray) -> TensorSpec:
    return TensorSpec(name, (1, array.shape[-1]), layout="NK", unit="logit")


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _tools() -> dict[str, Any]:
    versions = {name: importlib.metadata.version(name) for name in TOOLS}
    return {"edgevid": __version__, "python": platform.python_version(), **versions}
