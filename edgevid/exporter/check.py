"""Run model files on the example, and compare with the eager network's outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevid import parity
from edgevid.backends import BACKENDS
from edgevid.backends.protocol import Compiled, OpenOptions, Runner
from edgevid.errors import EdgevidError, ExportError, ParityError, first_line
from edgevid.passes.streaming.to_streaming import FRAME
from edgevid.specs import LOCAL_TOLERANCE, TOLERANCE, Artefact, Parity, StateSpec

if TYPE_CHECKING:
    from edgevid.exporter.calibration import Calibration
    from edgevid.exporter.example import Example
    from edgevid.exporter.request import Request

REMEDIES = {
    "fp16": "use --precision fp32",
    "int8": "calibrate with more videos like those that the network was trained on, or use another precision",
}
"""What to do if the outputs in a precision differ too much from PyTorch's."""


@dataclass(frozen=True)
class OpenModel:
    """A model file opened without edgevid's kernels; ``input`` is the name of its clip, image or frame."""

    file: str
    runner: Runner
    input: str
    states: tuple[StateSpec, ...]
    streaming: bool

    @classmethod
    def open(
        cls,
        folder: Path,
        artefact: Artefact,
        request: Request,
        states: tuple[StateSpec, ...],
        outputs: Iterable[str],
    ) -> OpenModel:
        """Open ``artefact`` of the bundle in ``folder``; ``ExportError`` unless it has the ``outputs``."""
        options = OpenOptions(providers=request.target.device.execution_providers)
        runner = BACKENDS[artefact.opened_by].open_model(artefact, folder, options)
        if missing := [name for name in outputs if name not in tuple(runner.outputs)]:
            raise ExportError(
                f"{artefact.file} has the outputs {', '.join(runner.outputs)} and not {', '.join(missing)}: "
                f"report this as an error of the backend {artefact.opened_by}"
            )
        name = FRAME if request.streaming else request.spec.input
        return cls(artefact.file, runner, name, states, request.streaming)

    def run_clip(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for a clip ``(1, T, 3, H, W)``; a stream's outputs have a row for each frame.

        Raises ``ExportError`` with the runtime's own message.
        """
        try:
            if self.streaming:
                return parity.pushed(self.runner.stepper(self.input, self.states).push, clip)
            return self.runner.run({self.input: np.ascontiguousarray(clip)})
        except EdgevidError:
            raise
        except Exception as error:  # a runtime raises kinds of its own
            raise ExportError(f"{self.file} fails when it runs: {first_line(error)}") from error


@dataclass(frozen=True)
class Checked:
    """Files that match PyTorch, each with its parity; ``not_run`` says in sentences what could not be run."""

    artefacts: tuple[Artefact, ...]
    not_run: tuple[str, ...]

    def parity_of(self, file: str) -> Parity:
        return next(artefact.parity for artefact in self.artefacts if artefact.file == file)


def check_compiled(
    compiled: Compiled,
    folder: Path,
    request: Request,
    example: Example,
    states: tuple[StateSpec, ...],
    calibration: Calibration | None,
) -> Checked:
    """Compare each file with PyTorch; ``ParityError`` if one in the requested precision differs too much.

    A file in another precision that differs too much is deleted, and ``not_run`` says so.
    """
    artefacts, not_run = [], list(compiled.not_run)
    for artefact in compiled.artefacts:
        path = folder / artefact.file
        model = OpenModel.open(folder, artefact, request, states, example.outputs)
        if calibration is not None and artefact.precision == "int8":
            measured = calibration.evaluate(model, artefact, path)
        else:
            result = model.run_clip(example.array)
            measured = parity.compare(result, example.outputs, TOLERANCE[artefact.precision])
        if measured.ok:
            artefacts.append(replace(artefact, parity=measured))
        elif artefact.precision != request.precision:
            path.unlink()
            reason = f"left out because it does not compute what PyTorch does ({_distance(measured)})"
            not_run.append(f"{artefact.file}, {reason}")
        else:
            default = _stream_remedy(states) if request.streaming else "please report the network"
            raise ParityError(
                f"{artefact.file} does not compute what PyTorch does: {_distance(measured)} "
                f"({artefact.precision}). Nothing was written; {REMEDIES.get(artefact.precision, default)}"
            )
    return Checked(tuple(artefacts), tuple(not_run))


def _distance(measured: Parity) -> str:
    distance = f"max|a-b| / max|b| = {measured.max_rel:.2e}, tolerance {measured.tolerance:g}"
    if measured.local_error is None:
        return distance
    return f"{distance}; worst per-layer error {measured.local_error:.2f}, tolerance {LOCAL_TOLERANCE:g}"


def _stream_remedy(states: tuple[StateSpec, ...]) -> str:
    """What to check where the outputs frame by frame differ from the clip's."""
    layers = ", ".join(dict.fromkeys(state.op for state in states)) or "none"
    return (
        f"the layers with states are {layers}: check whether another layer reads more than its own frame, "
        "or export without --stream"
    )
