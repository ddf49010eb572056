"""A seeded input, the eager network's answer to it, and how a manifest describes both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from edgevid.errors import ExportError
from edgevid.passes.to_streaming import FRAME
from edgevid.request import SEED, Request
from edgevid.specs import TensorSpec

LOGITS = "logits"
UNITS = {3: "normalised colour, see preprocessing"}
OTHER_UNIT = "as the network was trained on"


@dataclass(frozen=True)
class Example:
    """``array`` is a clip ``(1, T, C, H, W)``, also of a stream, or an image ``(1, C, H, W)``.

    ``outputs`` are the eager network's, by name; of a stream they have a row for each frame.
    """

    array: np.ndarray
    outputs: Mapping[str, np.ndarray]

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
    forward = getattr(network, "frame_logits", network) if request.streaming else network
    with evaluating(network), torch.no_grad():
        try:
            answer = forward(torch.from_numpy(array))
        except Exception as error:  # the user's network may raise anything on an input it does not take
            raise ExportError(
                f"{spec.name} does not take {_article(spec.input)} {shape}: {_first_line(error)}. "
                f"Set {'--size' if spec.input == 'image' else '--frames and --size'} to what it takes"
            ) from error
    if isinstance(answer, Mapping) and all(isinstance(value, torch.Tensor) for value in answer.values()):
        return Example(array, _named_outputs(answer, request))
    if request.streaming and forward is network:
        raise ExportError(
            f"to stream {spec.name}, give it a method frame_logits(clip) that returns "
            "(N, T, classes), the logits of each frame, whose mean over T forward returns"
        )
    if not isinstance(answer, torch.Tensor) or answer.ndim != (3 if request.streaming else 2):
        raise ExportError(
            f"{spec.name} must return logits (N, classes) or a dict of tensors: wrap it so that it does"
        )
    return Example(array, {LOGITS: (answer[0] if request.streaming else answer).float().numpy()})


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


def _named_outputs(answer: Mapping[str, torch.Tensor], request: Request) -> dict[str, np.ndarray]:
    for name, tensor in answer.items():
        if request.streaming and len(tensor) != request.frames:
            raise ExportError(
                f"to stream {request.spec.name}, let its output '{name}' have a row for each frame, "
                f"{request.frames} and not {len(tensor)}: (N*T, ...)"
            )
    return {str(name): tensor.float().numpy() for name, tensor in answer.items()}


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "image" else f"a {kind}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
