"""Run model files on the example, and compare with the eager network's outputs."""

from __future__ import annotations

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

INSTEAD = {
    "fp16": "use --precision fp32",
    "int8": "calibrate with more videos like those that the network was trained on, or use another precision",
}
"""What to do if a precision is not equal to PyTorch."""


@dataclass(frozen=True)
class OpenModel:
    """A model file, opened without kernels of ours; ``input`` names its clip, image or frame."""

    file: str
    runner: Runner
    input: str
    states: tuple[StateSpec, ...]
    streaming: bool

    @classmethod
    def open(
        cls, path: Path, artefact: Artefact, request: Request, states: tuple[StateSpec, ...]
    ) -> OpenModel:
        options = OpenOptions(providers=request.target.device.execution_providers)
        runner = BACKENDS[artefact.opened_by].open_model(artefact, path.parent, options)
        name = FRAME if request.streaming else request.spec.input
        return cls(artefact.file, runner, name, states, request.streaming)

    def run_clip(self, clip: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name for a clip ``(1, T, 3, H, W)``; a stream's have a row for each frame.

        Raises ``ExportError`` with the runtime's own words.
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
    """The files that are equal to PyTorch, each with its parity, and in sentences what could not be tried."""

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
    """Compare each file with PyTorch; ``ParityError`` if the one asked for is not equal.

    A file of another precision that is not equal is deleted, and ``not_run`` says so.
    """
    artefacts, not_run = [], list(compiled.not_run)
    for artefact in compiled.artefacts:
        path = folder / artefact.file
        model = OpenModel.open(path, artefact, request, states)
        if calibration is not None and artefact.precision == "int8":
            measured = calibration.judge(model, artefact, path)
        else:
            result = model.run_clip(example.array)
            measured = parity.compare(result, example.outputs, TOLERANCE[artefact.precision])
        if measured.ok:
            artefacts.append(replace(artefact, parity=measured))
        elif artefact.precision != request.precision:
            path.unlink()
            reason = f"left out because it is not equal to PyTorch ({_said(measured)})"
            not_run.append(f"{artefact.file}, {reason}")
        else:
            instead = _of_stream(states) if request.streaming else "please report the network"
            raise ParityError(
                f"{artefact.file} does not compute what PyTorch does: {_said(measured)} "
                f"({artefact.precision}). Nothing was written; {INSTEAD.get(artefact.precision, instead)}"
            )
    return Checked(tuple(artefacts), tuple(not_run))


def _said(measured: Parity) -> str:
    distance = f"max|a-b| / max|b| = {measured.max_rel:.2e}, tolerance {measured.tolerance:g}"
    if measured.local_error is None:
        return distance
    return f"{distance}; of the worst layer alone {measured.local_error:.2f}, tolerance {LOCAL_TOLERANCE:g}"


def _of_stream(states: tuple[StateSpec, ...]) -> str:
    """What may be wrong where a clip's outputs differ from those frame by frame."""
    kept = ", ".join(dict.fromkeys(state.op for state in states)) or "none"
    return (
        f"the layers that keep frames are {kept}: look whether another one sees more than its own frame, "
        "or export without --stream"
    )
