"""A seeded input, the eager network's outputs for it, and the manifest's description of both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edgevid.errors import ExportError, first_line
from edgevid.exporter.kept_state import KeptState, check_forgets
from edgevid.exporter.randomness import refuse_if_random
from edgevid.exporter.request import SEED, Request
from edgevid.passes.streaming.to_streaming import FRAME
from edgevid.specs import LOGITS, TensorSpec

UNITS = {3: "normalised colour, see preprocessing"}
DEFAULT_UNIT = "as the network was trained on"


@dataclass(frozen=True)
class Example:
    """``array`` is a clip ``(1, T, C, H, W)``, also for a stream, or an image ``(1, C, H, W)``.

    ``outputs`` are the eager network's, by name; a stream's have a row for each frame.
    ``random_operators`` ran in the network, though its outputs were the same in each run.
    """

    array: np.ndarray
    outputs: Mapping[str, np.ndarray]
    random_operators: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """The number of classes; 0 for a network without logits."""
        return self.outputs[LOGITS].shape[-1] if LOGITS in self.outputs else 0


def eager_example(network: torch.nn.Module, request: Request) -> Example:
    """Run the network on seeded standard-normal values, rounded so that fp16 holds them exactly."""
    spec = request.spec
    shape = spec.input_shape(request.frames, request.size)
    array = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    array = array.astype(np.float16).astype(np.float32)

    def run() -> Any:
        return _run(network, request, array)

    state = KeptState(network)
    try:
        result = run()
    except Exception as error:  # the user's network may raise anything on an input of another shape
        raise ExportError(
            f"{spec.name} does not accept {_article(spec.input)} {shape}: {first_line(error)}. "
            f"Set {'--size' if spec.input == 'image' else '--frames and --size'} to what it accepts"
        ) from error
    check_forgets(state, spec.name, result, run)
    outputs = _outputs(result, network, request)
    _check_finite(outputs, spec.name)
    operators = refuse_if_random(spec.name, network, lambda: _outputs(run(), network, request), outputs)
    return Example(array, outputs, operators)


def eager_outputs(network: torch.nn.Module, request: Request, array: np.ndarray) -> dict[str, np.ndarray]:
    """The network's outputs for a clip, named and shaped as those of an example."""
    return _outputs(_run(network, request, array), network, request)


def _run(network: torch.nn.Module, request: Request, array: np.ndarray) -> Any:
    forward = getattr(network, "frame_logits", network) if request.streaming else network
    with evaluating(network), torch.no_grad():
        return forward(torch.from_numpy(array.copy()))  # a network may work in place


@contextlib.contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; each module's own mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def forward_by_frame(network: torch.nn.Module, request: Request) -> Iterator[None]:
    """For a stream, ``network(clip)`` calls ``network.frame_logits(clip)`` if there is one."""
    if not request.streaming or not hasattr(network, "frame_logits"):
        yield
        return
    forward = network.__dict__.get("forward")
    network.forward = network.frame_logits
    try:
        yield
    finally:
        del network.forward
        if forward is not None:
            network.forward = forward


def describe_input(request: Request) -> TensorSpec:
    spec, unit = request.spec, UNITS.get(request.spec.channels, DEFAULT_UNIT)
    if request.streaming:
        return TensorSpec(FRAME, (1, spec.channels, request.size, request.size), layout="NCHW", unit=unit)
    shape = spec.input_shape(request.frames, request.size)
    return TensorSpec(spec.input, shape, layout=spec.layout, unit=unit)


def describe_outputs(example: Example, streaming: bool) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name,
            (1, *array.shape[1:]) if streaming else array.shape,
            layout={2: "NK", 4: "NCHW"}.get(array.ndim, ""),
            unit="logit" if name == LOGITS else "feature",
        )
        for name, array in example.outputs.items()
    )


def _outputs(result: Any, network: torch.nn.Module, request: Request) -> dict[str, np.ndarray]:
    """The network's ``result`` by name, for a stream without the axis N; ``ExportError`` on another shape."""
    name, streaming = request.spec.name, request.streaming
    if isinstance(result, Mapping) and all(isinstance(value, torch.Tensor) for value in result.values()):
        outputs = {str(key): _array(tensor) for key, tensor in result.items()}
        for key, array in outputs.items():
            if streaming and (not array.ndim or len(array) != request.frames):
                raise ExportError(
                    f"to stream {name}, let its output '{key}' have a row for each frame, (N*T, ...): "
                    f"{request.frames}, not {len(array) if array.ndim else 'a single number'}"
                )
        rows = (request.frames,) if streaming else (1,)
        if LOGITS in outputs:
            _check_logits(outputs[LOGITS], rows, "(N*T, classes)" if streaming else "(N, classes)", request)
        return outputs
    by_frame = isinstance(result, torch.Tensor) and result.ndim == 3
    if streaming and not hasattr(network, "frame_logits") and not by_frame:
        raise ExportError(
            f"to stream {name}, add a method frame_logits(clip) that returns the logits of each frame, "
            "(N, T, classes); forward returns their mean over T"
        )
    if not isinstance(result, torch.Tensor):
        raise ExportError(
            f"{name} must return logits (N, classes) or a dict of tensors, not {_kind(result)}: wrap it in a "
            "module that does"
        )
    logits = _array(result)
    if not streaming:
        _check_logits(logits, (1,), "(N, classes)", request)
        return {LOGITS: logits}
    if not by_frame or len(logits) != 1:  # a wrong number of frames fails in the layer that changes it
        _check_logits(logits, (1, request.frames), "(N, T, classes)", request)
    return {LOGITS: logits[0]}


def _check_logits(logits: np.ndarray, rows: tuple[int, ...], form: str, request: Request) -> None:
    """Refuse logits that are not ``(*rows, classes)``: their rows would be mistaken for clips."""
    if logits.shape[:-1] == rows and logits.shape[-1]:
        return
    source = "an image" if request.spec.input == "image" else f"a clip of {request.frames} frames"
    expected = ", ".join([*map(str, rows), "classes"])
    raise ExportError(
        f"{request.spec.name} must return logits {form} or a dict of tensors: for {source} it returns "
        f"{logits.shape}, not ({expected}); wrap it in a module that does"
    )


def _check_finite(outputs: Mapping[str, np.ndarray], name: str) -> None:
    for key, array in outputs.items():
        if not np.isfinite(array).all():
            raise ExportError(
                f"{name} returns NaN or infinity in its output '{key}' for a finite input, so its export "
                "cannot be compared with it: check its weights, logarithms and divisions"
            )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().numpy().copy()  # the network may use its memory again


def _kind(result: Any) -> str:
    if isinstance(result, (tuple, list)):
        return f"a {type(result).__name__} of {len(result)}"
    return f"a {type(result).__name__}"


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "image" else f"a {kind}"
