"""A second model file with dynamic batch size, clip length or frame size, where the network allows it.

edgevid's kernels, and the graphs optimized for them, take fixed shapes. This file is the same network in
standard operators with free dimensions. The guards of the trace show what it assumes of a dimension, and the
file is compared with the eager network at other sizes than the traced ones, so that a hard-coded size fails
the export and not the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import InlinePass

from edgevid import parity
from edgevid.backends.protocol import Compiled
from edgevid.errors import ExportError, first_line
from edgevid.exporter.example import Example, evaluating
from edgevid.exporter.free_shapes import LayerWatch
from edgevid.exporter.request import SEED, Request
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes
from edgevid.specs import TOLERANCE, Artefact, ModelSpec

MODEL, WEIGHTS = "model.dynamic.onnx", "model.dynamic.weights"
UNITS = {"batch": "clips", "frames": "frames", "size": "pixels of height and width"}
"""The kinds of free dimensions, and the unit of each."""

MAX_SCALE = 4
"""The largest multiple of the example's frames or pixels that is traced."""

MIN_TRACED = 2
"""Torch specializes on a dimension of 1, so a trace takes at least two clips or frames."""


def free_axes(spec: ModelSpec, kinds: tuple[str, ...]) -> dict[int, str]:
    """The free axes of the input for ``kinds``, each with its name in the file."""
    rank = len(spec.input_shape(1, 1))
    axes = {"batch": {0: "batch"}, "frames": {1: "frames"}, "size": {rank - 2: "height", rank - 1: "width"}}
    return {axis: name for kind in kinds for axis, name in axes[kind].items()}


def write_dynamic(
    network: torch.nn.Module, request: Request, example: Example, compiled: Compiled, folder: Path
) -> Compiled:
    """Add the dynamic file if requested; ``ExportError`` names the layer that needs a fixed size."""
    if not request.options.dynamic:
        return compiled
    with evaluating(network):
        graph, steps, watch = _trace(network, request, tuple(example.outputs))
        InlinePass()(graph)
        run_passes(graph, STANDARD, fixed_shapes=False)
        numbers = " and ".join(_any_number(kind, steps[kind]) for kind in request.options.dynamic)
        purpose = f"any runtime that reads ONNX: {numbers}"
        artefact = Artefact(MODEL, "fp32", purpose, opened_by=request.backend.name)
        ir.save(graph, folder / MODEL, external_data=WEIGHTS, size_threshold_bytes=256)
        session = request.backend.open_model(artefact, folder)
        for shape in other_shapes(request, steps):
            clips = _clips(shape)
            expected = _eager(network, request, clips, tuple(example.outputs))
            try:
                result = session.run({request.spec.input: clips})
            except Exception as error:  # ONNX Runtime's own kinds, where an operator rejects a shape
                difference, result = _sentence(error), {}
            distance = parity.compare(result, expected, TOLERANCE["fp32"])
            if not distance.ok:
                if result:
                    difference = f"max|a-b| / max|b| = {distance.max_rel:.1e}"
                raise ExportError(
                    f"{_refusal(request)}: {watch.broken_layer(shape) or 'its code'} assumes a fixed size, "
                    f"so the file is wrong for an input {shape} ({difference}). {_remedy(request)}"
                )
    return replace(compiled, artefacts=(*compiled.artefacts, artefact))


def _trace(
    network: torch.nn.Module, request: Request, outputs: tuple[str, ...]
) -> tuple[ir.Model, dict[str, int], LayerWatch]:
    """The graph, the step between valid sizes of each kind of free dimension, and the watch with the guards.

    Where strides reduce a dimension to 1, torch specializes on it; the trace is then repeated at twice it.
    """
    axes, scale = free_axes(request.spec, request.options.dynamic), dict.fromkeys(UNITS, 1)
    while True:
        with LayerWatch(network) as watch:
            try:
                graph = trace(
                    network, torch.zeros(_traced_shape(request, scale)), request.spec.input, outputs, axes
                )
            except ExportError as error:
                _eager_at_other_sizes(network, request, outputs)
                raise ExportError(f"{_refusal(request)}: {error}. {_remedy(request)}") from error
        steps = {kind: _step(watch, request.spec, kind) for kind in request.options.dynamic}
        fixed = [kind for kind, step in steps.items() if step is None]
        if not fixed:
            return graph, steps, watch
        shape = _traced_shape(request, scale := {**scale, **{kind: scale[kind] * 2 for kind in fixed}})
        if max(scale.values()) > MAX_SCALE or not _accepts(network, shape):
            axis = min(free_axes(request.spec, (fixed[0],)))
            raise ExportError(
                f"{_refusal(request, fixed[0])}: {watch.reason(axis)} needs a fixed number of "
                f"{UNITS[fixed[0]]}. {_remedy(request, fixed[0])}"
            )


def _traced_shape(request: Request, scale: Mapping[str, int]) -> tuple[int, ...]:
    batch = MIN_TRACED * scale["batch"] if "batch" in request.options.dynamic else 1
    frames = max(request.frames, MIN_TRACED) if "frames" in request.options.dynamic else request.frames
    return (batch, *request.spec.input_shape(frames * scale["frames"], request.size * scale["size"])[1:])


def _step(watch: LayerWatch, spec: ModelSpec, kind: str) -> int | None:
    steps = [watch.step(axis) for axis in free_axes(spec, (kind,))]
    return None if None in steps else max(steps)


def _accepts(network: torch.nn.Module, shape: tuple[int, ...]) -> bool:
    try:
        with torch.no_grad():
            network(torch.zeros(shape))
    except Exception:  # a network may raise anything on an input of another shape
        return False
    return True


def _eager_at_other_sizes(network: torch.nn.Module, request: Request, outputs: tuple[str, ...]) -> None:
    """Raise the network's own error, if it fails at another size, rather than the trace's."""
    for shape in other_shapes(request, dict.fromkeys(request.options.dynamic, 1)):
        _eager(network, request, _clips(shape), outputs)


def other_shapes(request: Request, steps: Mapping[str, int]) -> Iterator[tuple[int, ...]]:
    """Two input shapes whose free dimensions all differ from the traced ones, by multiples of ``steps``."""
    for batch, longer, taller, wider in ((1, 1, 17, 17), (3, 3, 9, 32)):
        frames, height, width = request.frames, request.size, request.size
        if "frames" in request.options.dynamic:
            frames = max(frames, MIN_TRACED) + longer * steps["frames"]
        if "size" in request.options.dynamic:
            height += _round_up(taller, steps["size"])
            width += _round_up(wider, steps["size"])
        first = batch if "batch" in request.options.dynamic else 1
        middle = request.spec.input_shape(frames, request.size)[1:-2]
        yield (first, *middle, height, width)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _eager(
    network: torch.nn.Module, request: Request, clips: np.ndarray, outputs: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """The network's outputs by name; ``ExportError`` names the layer that rejects ``clips``."""
    with LayerWatch(network) as watch, torch.no_grad():
        try:
            result = network(torch.from_numpy(clips.copy()))  # which it may change in place
        except Exception as error:  # a network may raise anything on an input of another shape
            raise ExportError(
                f"{_refusal(request)}: {watch.failed_layer(error)} does not accept an input {clips.shape} "
                f"({_sentence(error)}). {_remedy(request)}"
            ) from error
    if isinstance(result, torch.Tensor) and len(result) != len(clips):
        raise ExportError(
            f"{_refusal(request)}: for an input {clips.shape} the network returns {tuple(result.shape)}, "
            f"not {len(clips)} rows. {_remedy(request)}"
        )
    by_name = result if isinstance(result, Mapping) else dict(zip(outputs, [result]))
    return {name: tensor.float().numpy() for name, tensor in by_name.items()}


def _sentence(error: Exception) -> str:
    return first_line(error).rstrip(".")


def _clips(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(SEED + shape[0]).standard_normal(shape, dtype=np.float32)


def _refusal(request: Request, kind: str | None = None) -> str:
    return f"{request.spec.name} does not support {_options(request, kind)}"


def _remedy(request: Request, kind: str | None = None) -> str:
    return f"Leave out {_options(request, kind)}, or make that layer independent of the size"


def _options(request: Request, kind: str | None) -> str:
    return " and ".join(f"--dynamic-{name}" for name in ((kind,) if kind else request.options.dynamic))


def _any_number(kind: str, step: int) -> str:
    return f"any number of {UNITS[kind]}" if step == 1 else f"any multiple of {step} {UNITS[kind]}"
