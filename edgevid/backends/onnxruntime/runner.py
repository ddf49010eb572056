"""A session of ONNX Runtime that runs a model: single inferences, or a stream whose states stay in place."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.backends.onnxruntime.session_options import session_options
from edgevid.backends.protocol import OpCoverage
from edgevid.backends.stepper import DoubleBufferedStepper
from edgevid.errors import BackendError, first_line
from edgevid.specs import StateSpec

if TYPE_CHECKING:
    from edgevid.backends.onnxruntime.profile.profiler import NodeProfiler

ORT_SUFFIX = ".ort"
"""Of a model in ORT format, which includes its weights."""


class OnnxRuntimeRunner:
    """A session of ONNX Runtime; inputs and outputs by name.

    ``source`` is the bundle's file if the one at ``path`` was made from it.
    """

    def __init__(
        self,
        path: Path,
        threads: int,
        providers: Sequence[str],
        configure: Callable[[Any], None] = lambda options: None,
        op_coverage: tuple[OpCoverage, ...] = (),
        shares_cores: bool = False,
        source: Path | None = None,
    ) -> None:
        import onnxruntime

        from edgevid.backends.onnxruntime.int8 import needs_wider_products

        self._ort, self.threads, self.op_coverage = onnxruntime, threads, op_coverage
        # Inputs and outputs stay in the memory of the processor, and a GPU's provider copies them.
        self.step_includes = ("transfers", "inference", "synchronization") if providers else ("inference",)
        self._path, self._source, self._configure = path, source or path, configure
        self._open_again = functools.partial(
            OnnxRuntimeRunner, path, threads, providers, op_coverage=op_coverage, shares_cores=shares_cores
        )
        options = session_options(threads, shares_cores)
        options.add_session_config_entry("session.x64quantprecision", str(int(needs_wider_products())))
        configure(options)
        try:
            self._session = onnxruntime.InferenceSession(path, options, [*providers, "CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise BackendError(
                f"ONNX Runtime {onnxruntime.__version__} cannot open '{path}': {first_line(error)}. "
                "Update it (pip install -U onnxruntime) or export again"
            ) from error
        self.inputs = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
        self.outputs = [output.name for output in self._session.get_outputs()]
        _return_freed_memory()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(self.outputs, dict(inputs))))

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function that runs one inference on ``inputs``; every run writes outputs to the same memory."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(array))
        for output in self._session.get_outputs():
            binding.bind_ortvalue_output(output.name, self._empty(output.shape, output.type))
        run = self._session.run_with_iobinding
        return lambda: run(binding)

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(Bindings(self._session, self._ort, frame, states), states)

    def profiler(self) -> NodeProfiler:
        from edgevid.backends.onnxruntime.profile.profiler import NodeProfiler

        if self._path.suffix == ORT_SUFFIX:
            raise BackendError(
                f"'{self._path.name}' has no graph that a profile can name: open the .onnx file"
            )
        return NodeProfiler(self._open_again, self._configure, self._source, self._path)

    def end_profiling(self) -> Path:
        """The file of the profiler, if the options asked for one."""
        return Path(self._session.end_profiling())

    def _empty(self, shape: Sequence[int], type_: str):
        return _zeros(self._ort, shape, _numpy_type(type_))


class Bindings:
    """A ``DoubleBuffer`` with an I/O binding for each direction between the two sets of states."""

    def __init__(self, session: Any, ort: Any, frame: str, states: Sequence[StateSpec]) -> None:
        self._session = session
        kinds = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
        self._frame = np.zeros(kinds[frame].shape, _numpy_type(kinds[frame].type))
        frame_value = ort.OrtValue.ortvalue_from_numpy(self._frame)
        state_outputs = {state.output for state in states}
        self._results = {
            output.name: _zeros(ort, output.shape, _numpy_type(output.type))
            for output in session.get_outputs()
            if output.name not in state_outputs
        }
        self._sets = [
            {state.input: _zeros(ort, state.shape, state.dtype) for state in states} for _ in range(2)
        ]
        self._bindings = []
        for source, target in ((0, 1), (1, 0)):
            binding = session.io_binding()
            binding.bind_ortvalue_input(frame, frame_value)
            for state in states:
                binding.bind_ortvalue_input(state.input, self._sets[source][state.input])
                binding.bind_ortvalue_output(state.output, self._sets[target][state.input])
            for name, value in self._results.items():
                binding.bind_ortvalue_output(name, value)
            self._bindings.append(binding)

    def write_frame(self, frame: np.ndarray) -> None:
        self._frame[...] = frame

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._sets[number][state.input].update_inplace(value)

    def infer(self, number: int) -> None:
        self._session.run_with_iobinding(self._bindings[number])

    def results(self) -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in self._results.items()}


def _zeros(ort, shape: Sequence[int], dtype: np.dtype | str):
    return ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, dtype))


def _numpy_type(type_: str) -> np.dtype:
    name = type_.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def _return_freed_memory() -> None:
    """Return what the session freed while it re-ordered the weights: glibc would keep a copy's worth."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
