"""A seeded input, the eager network's answer to it, and how a manifest describes both."""

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
OTHER_UNIT = "as the network was trained on"


@dataclass(frozen=True)
class Example:
    """``array`` is a clip ``(1, T, C, H, W)``, also of a stream, or an image ``(1, C, H, W)``.

    ``outputs`` are the eager network's, by name; of a stream they have a row for each frame.
    ``random_operators`` ran on the way, though two runs gave the same.
    """

    array: np.ndarray
    outputs: Mapping[str, np.ndarray]
    random_operators: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """How many the logits are of; 0 for a network whose outputs are something else."""
        return self.outputs[LOGITS].shape[-1] if LOGITS in self.outputs else 0


def eager_example(network: torch.nn.Module, request: Request) -> Example:
    """Run the network on normal numbers of a fixed seed, which fp16 holds exactly."""
    spec = request.spec
    shape = spec.input_shape(request.frames, request.size)
    array = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    array = array.astype(np.float16).astype(np.float32)

    def run() -> Any:
        return _run(network, request, array)

    kept = KeptState(network)
    try:
        answer = run()
    except Exception as error:  # the user's network may raise anything on an input it does not take
        raise ExportError(
            f"{spec.name} does not take {_article(spec.input)} {shape}: {first_line(error)}. "
            f"Set {'--size' if spec.input == 'image' else '--frames and --size'} to what it takes"
        ) from error
    check_forgets(kept, spec.name, answer, run)
    outputs = _outputs(answer, network, request)
    _check_finite(outputs, spec.name)
    operators = refuse_if_random(spec.name, network, lambda: _outputs(run(), network, request), outputs)
    return Example(array, outputs, operators)


def eager_outputs(network: torch.nn.Module, request: Request, array: np.ndarray) -> dict[str, np.ndarray]:
    """What the network gives for a clip, named and shaped as the outputs of an example."""
    return _outputs(_run(network, request, array), network, request)


def _run(network: torch.nn.Module, request: Request, array: np.ndarray) -> Any:
    forward = getattr(network, "frame_logits", network) if request.streaming else network
    with evaluating(network), torch.no_grad():
        return forward(torch.from_numpy(array.copy()))  # a network may work in place


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


@contextlib.contextmanager
def answering_by_frame(network: torch.nn.Module, request: Request) -> Iterator[None]:
    """Of a stream: ``network(clip)`` is ``network.frame_logits(clip)`` where it has that."""
    if not request.streaming or not hasattr(network, "frame_logits"):
        yield
        return
    own = network.__dict__.get("forward")
    network.forward = network.frame_logits
    try:
        yield
    finally:
        del network.forward
        if own is not None:
            network.forward = own


def describe_input(request: Request) -> TensorSpec:
    spec, unit = request.spec, UNITS.get(request.spec.channels, OTHER_UNIT)
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


def _outputs(answer: Any, network: torch.nn.Module, request: Request) -> dict[str, np.ndarray]:
    """What the network returned, by name, of a stream without the axis N; refuses another shape."""
    name, streaming = request.spec.name, request.streaming
    if isinstance(answer, Mapping) and all(isinstance(value, torch.Tensor) for value in answer.values()):
        outputs = {str(key): _array(tensor) for key, tensor in answer.items()}
        for key, array in outputs.items():
            if streaming and (not array.ndim or len(array) != request.frames):
                raise ExportError(
                    f"to stream {name}, let its output '{key}' have a row for each frame, {request.frames} "
                    f"and not {len(array) if array.ndim else 'a single number'}: (N*T, ...)"
                )
        rows = (request.frames,) if streaming else (1,)
        if LOGITS in outputs:
            _check_logits(outputs[LOGITS], rows, "(N*T, classes)" if streaming else "(N, classes)", request)
        return outputs
    by_frame = isinstance(answer, torch.Tensor) and answer.ndim == 3
    if streaming and not hasattr(network, "frame_logits") and not by_frame:
        raise ExportError(
            f"to stream {name}, give it a method frame_logits(clip) that returns "
            "(N, T, classes), the logits of each frame, whose mean over T forward returns"
        )
    if not isinstance(answer, torch.Tensor):
        raise ExportError(
            f"{name} must return logits (N, classes) or a dict of tensors, not {_kind(answer)}: wrap it so "
            "that it does"
        )
    logits = _array(answer)
    if not streaming:
        _check_logits(logits, (1,), "(N, classes)", request)
        return {LOGITS: logits}
    if not by_frame or len(logits) != 1:  # another number of frames is refused by the layer that makes it
        _check_logits(logits, (1, request.frames), "(N, T, classes)", request)
    return {LOGITS: logits[0]}


def _check_logits(logits: np.ndarray, rows: tuple[int, ...], form: str, request: Request) -> None:
    """Refuse logits that are not ``rows`` and one axis of classes: they would be taken for other clips'."""
    if logits.shape[:-1] == rows and logits.shape[-1]:
        return
    given = "an image" if request.spec.input == "image" else f"a clip of {request.frames} frames"
    expected = ", ".join([*map(str, rows), "classes"])
    raise ExportError(
        f"{request.spec.name} must return logits {form} or a dict of tensors: for {given} it gives "
        f"{logits.shape} and not ({expected}); wrap it so that it does"
    )


def _check_finite(outputs: Mapping[str, np.ndarray], name: str) -> None:
    for key, array in outputs.items():
        if not np.isfinite(array).all():
            raise ExportError(
                f"{name} gives NaN or infinity in its output '{key}' for an input of normal numbers, so an "
                "export cannot be compared with it: look at its weights, logarithms and divisions"
            )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().numpy().copy()  # the network may use its memory again


def _kind(answer: Any) -> str:
    if isinstance(answer, (tuple, list)):
        return f"a {type(answer).__name__} of {len(answer)}"
    return f"a {type(answer).__name__}"


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "image" else f"a {kind}"
