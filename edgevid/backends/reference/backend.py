"""A minimal backend: it writes the graph unchanged and runs it with ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.backends.kernels import count_temporal_ops
from edgevid.backends.protocol import Compiled, Job, OpCoverage, OpenOptions
from edgevid.backends.stepper import ArrayBuffer, DoubleBufferedStepper
from edgevid.errors import BackendError, first_line
from edgevid.specs import Artefact, Availability, StateSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir

MODEL = Artefact("model.onnx", "fp32", "any runtime that reads ONNX", opened_by="reference")
INSTALL = "pip install 'edgevid[export]'"


def available() -> Availability:
    try:
        import onnx.reference
    except ImportError as error:
        return Availability(False, "", str(error), INSTALL)
    return Availability(True, f"ONNX {onnx.__version__}")


def compile(graph: ir.Model, job: Job, folder: Path) -> Compiled:
    """Write ``model.onnx`` in standard operators: the evaluator rejects calls without optional inputs."""
    import onnx_ir as ir

    from edgevid.passes import LOWERING, run_passes

    kernels = count_temporal_ops(graph, "standard operators")
    passes = run_passes(graph, LOWERING)
    ir.save(graph, folder / MODEL.file)
    return Compiled(MODEL.file, (MODEL,), kernels, passes=passes)


def open_model(artefact: Artefact, folder: Path, options: OpenOptions) -> ReferenceRunner:
    """Open a model; the evaluator runs on one thread, whatever the ``options``."""
    path = folder / artefact.file
    try:
        from onnx.reference import ReferenceEvaluator

        from edgevid.backends.reference.pools import AveragePool, MaxPool

        return ReferenceRunner(ReferenceEvaluator(str(path), new_ops=[MaxPool, AveragePool]))
    except ImportError as error:
        raise BackendError(f"the reference evaluator needs the package onnx ({error}): {INSTALL}") from error
    except Exception as error:  # the exceptions of protobuf and onnx have no common base
        raise BackendError(f"ONNX cannot open '{path}': {first_line(error)}. Export again") from error


class ReferenceRunner:
    """A ``Runner`` of NumPy arrays."""

    threads = 1
    op_coverage: tuple[OpCoverage, ...] = ()

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self.inputs: tuple[str, ...] = tuple(evaluator.input_names)
        self.outputs: tuple[str, ...] = tuple(evaluator.output_names)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._evaluator.run(None, dict(inputs))))

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        return lambda: self.run(inputs) and None

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(ArrayBuffer(self, frame, states), states)
