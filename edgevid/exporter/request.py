"""The request to export a network, validated and completed before any work is done."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from edgevid.backends import BACKENDS, backends_of
from edgevid.backends.protocol import Backend
from edgevid.bundle.bundle import check_destination
from edgevid.errors import EdgevidError, ExportError, WeightsError
from edgevid.exporter.calibration import check_calibration
from edgevid.specs import ModelSpec, Preprocessing, Target, bundle_name
from edgevid.specs.export_options import ExportOptions
from edgevid.targets import TARGETS
from edgevid.weights.normalization import NO_OVERRIDE, Override, parse_override
from edgevid.weights.read import read_checkpoint
from edgevid.weights.unwrap import Checkpoint
from edgevid.zoo import MODELS
from edgevid.zoo.shipped import find_weights
from edgevid.zoo.training.trained import Trained, trained_of

log = logging.getLogger("edgevid")

SEED = 0
"""For random weights and the example input."""


@dataclass(frozen=True)
class Request:
    """What to export, with every default that ``options`` leave open filled in.

    ``network`` is the user's own module; if it is None, ``spec`` says how to build one. ``checkpoint`` is of
    ``--weights``, and ``trained`` what one of ``edgevid train`` says about itself.
    """

    spec: ModelSpec
    network: nn.Module | None
    target: Target
    backend: Backend
    precision: str
    frames: int
    size: int
    normalization: Override
    output: Path
    options: ExportOptions
    checkpoint: Checkpoint | None = None
    trained: Trained | None = None

    @property
    def streaming(self) -> bool:
        return self.options.stream

    def with_preprocessing(self, preprocessing: Preprocessing) -> Request:
        """The network's preprocessing, known once it has its weights; the checkpoint is then freed."""
        return replace(self, spec=replace(self.spec, preprocessing=preprocessing), checkpoint=None)


def make_request(
    model: str | nn.Module, target: str, output: str | os.PathLike | None, options: ExportOptions
) -> Request:
    """Raises ``EdgevidError``, which says what to do, for options that cannot be satisfied."""
    for name in ("classes", "frames", "size"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise EdgevidError(f"--{name} must be at least 1, not {number}")
    spec, network = _find_network(model)
    device = TARGETS[target]
    backend = BACKENDS[options.backend or device.backend]
    if backend.name not in backends_of(device):
        raise EdgevidError(f"target {target} supports {_either(backends_of(device))}, not {backend.name}")
    precisions = tuple(name for name in device.precisions if name in backend.precisions)
    precision = options.precision or precisions[0]
    if precision not in precisions:
        raise EdgevidError(
            f"target {target} with {backend.name} supports {_either(precisions)}, not {precision}"
        )
    _check_network(spec, network, options)
    _check_dynamic(options.dynamic, spec, backend, options.stream)
    normalization = parse_override(options.mean, options.std, options.color)
    if normalization != NO_OVERRIDE and spec.channels != 3:
        raise EdgevidError(f"{spec.name} does not take RGB frames: leave out --mean, --std and --color")
    check_calibration(options.calibration, precision, spec)
    if options.weights is not None:
        options = replace(options, weights=find_weights(options.weights, spec.name))
    checkpoint = None if options.weights is None else read_checkpoint(options.weights)
    trained = _record_in(checkpoint, spec)
    size = options.size or (trained.preprocessing.crop if trained else spec.size)
    folder = Path(output or bundle_name(spec.name, target, backend.name, options.stream))
    check_destination(folder, options.force)
    return Request(
        spec=replace(spec, preprocessing=(trained or spec).preprocessing.at_size(size)),
        network=network,
        target=device,
        backend=backend,
        precision=precision,
        frames=_frames(spec, network, options, trained),
        size=size,
        normalization=normalization,
        output=folder,
        options=options,
        checkpoint=checkpoint,
        trained=trained,
    )


def _record_in(checkpoint: Checkpoint | None, spec: ModelSpec) -> Trained | None:
    if checkpoint is None:
        return None
    try:
        trained = trained_of(checkpoint.content)
    except ValueError as error:
        raise WeightsError(f"{checkpoint.label}: {error}; train it again") from None
    if trained is not None and trained.model != spec.name:
        log.warning("%s was trained as %s, not as %s", checkpoint.label, trained.model, spec.name)
    return trained


def _frames(
    spec: ModelSpec, network: nn.Module | None, options: ExportOptions, trained: Trained | None
) -> int:
    if spec.input == "image":
        return 1
    default = trained.frames if trained else spec.frames
    return options.frames or getattr(network, "frames", None) or default


def _check_network(spec: ModelSpec, network: nn.Module | None, options: ExportOptions) -> None:
    """Refuse options that the network does not support."""
    if options.stream and spec.input == "image":
        raise ExportError(f"{spec.name} takes single images and keeps no state: leave out --stream")
    if options.stream and not spec.causal:
        raise ExportError(_looks_ahead(spec))
    if options.classes is not None and network is not None:
        raise EdgevidError(
            f"--classes is for networks of 'edgevid list models'; {spec.name} brings its own: leave it out"
        )
    if options.classes is not None and not spec.classes:
        raise EdgevidError(f"{spec.name} has no classifier: leave out --classes")
    if options.frames is not None and spec.input == "image":
        raise EdgevidError(f"{spec.name} takes single images: leave out --frames")
    if options.ema and options.weights is None:
        raise EdgevidError("--ema selects the averaged weights of a checkpoint: add --weights")


def _check_dynamic(dynamic: tuple[str, ...], spec: ModelSpec, backend: Backend, stream: bool) -> None:
    if dynamic and stream:
        raise EdgevidError(f"a stream takes a single frame at a time: leave out --dynamic-{dynamic[0]}")
    if dynamic and not backend.dynamic_shapes:
        raise EdgevidError(f"{backend.name} supports fixed shapes only: leave out --dynamic-{dynamic[0]}")
    if "frames" in dynamic and spec.input == "image":
        raise EdgevidError(f"{spec.name} takes single images: leave out --dynamic-frames")


def _find_network(model: str | nn.Module) -> tuple[ModelSpec, nn.Module | None]:
    if isinstance(model, nn.Module):
        spec = getattr(model, "edgevid_spec", None) or _user_spec(type(model).__name__)
        return spec, model
    if ":" not in model:
        return MODELS[model], None
    network = _import_network(model)
    return _user_spec(model.rpartition(":")[2], builder=model), network


def _user_spec(name: str, builder: str = "") -> ModelSpec:
    # Only the traced graph shows whether it is causal.
    return ModelSpec(name, "a network of your own", builder, "yours", causal=True)


def _import_network(reference: str) -> nn.Module:
    module_name, _, function_name = reference.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(module_name), function_name)
    except ImportError as error:
        raise EdgevidError(
            f"cannot import '{module_name}' of '{reference}' ({error}): "
            "run in the folder that contains it, or install it"
        ) from error
    except AttributeError:
        raise EdgevidError(
            f"module '{module_name}' has no '{function_name}': check the name after the colon"
        ) from None
    try:
        network = factory()
    except Exception as error:  # the user's code may raise anything; its own message is what helps
        raise EdgevidError(
            f"'{reference}()' raised {type(error).__name__}: {error}. "
            "It must return a torch.nn.Module when called without arguments"
        ) from error
    if not isinstance(network, nn.Module):
        raise EdgevidError(
            f"'{reference}()' returned a {type(network).__name__}: let it return a torch.nn.Module"
        )
    return network


def _looks_ahead(spec: ModelSpec) -> str:
    instead = (
        f"export its causal variant instead: edgevid export {spec.online} --stream"
        if spec.online
        else f"use one of {', '.join(entry.name for entry in MODELS.values() if entry.causal)}"
    )
    return f"{spec.name} looks into the future (it reads the next frame), so it cannot be streamed; {instead}"


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names)
