"""Run a TVM library: single inferences, or a stream whose states stay in TVM's memory."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.backends.stepper import DoubleBufferedStepper
from edgevid.backends.tvm.importer.importer import ENTRY
from edgevid.backends.tvm.without_torch import import_tvm
from edgevid.errors import BackendError, first_line

if TYPE_CHECKING:
    from edgevid.backends.tvm.profiler import FunctionProfiler
    from edgevid.specs import StateSpec

ONE_THREAD_PER_CORE = 1
"""TVM's mode that binds threads to cores, the fastest first."""


class TvmRunner:
    """A library with its inputs and outputs by name, in the order of the function's parameters."""

    op_coverage = ()

    def __init__(
        self,
        path: Path,
        inputs: Sequence[str],
        outputs: Sequence[str],
        threads: int,
        recorder: FunctionProfiler | None = None,
    ) -> None:
        tvm = import_tvm()
        # Not from tvm.relax, which needs the compiler: a device may not have it.
        from tvm.runtime.vm import VirtualMachine

        self._tensor, self.threads = tvm.runtime.tensor, threads
        self._arguments = (path, inputs, outputs, threads)
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        try:
            self._machine = VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        except Exception as error:  # TVM's errors have no common base
            raise BackendError(
                f"TVM {tvm.__version__} cannot open '{path}': {first_line(error)}. "
                "Export it again with this TVM"
            ) from error
        machine = self._machine
        self._main = machine[ENTRY] if recorder is None else recorder.instrument(machine, ENTRY)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = self.call([self.to_tensor(inputs[name]) for name in self.inputs])
        return {name: result.numpy() for name, result in zip(self.outputs, results)}

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function that runs one inference on ``inputs``, which are copied once."""
        tensors = [self.to_tensor(inputs[name]) for name in self.inputs]
        return lambda: self.call(tensors) and None

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(Arguments(self, frame, states), states)

    def profiler(self) -> FunctionProfiler:
        from edgevid.backends.tvm.profiler import FunctionProfiler

        return FunctionProfiler(functools.partial(TvmRunner, *self._arguments))

    def call(self, tensors: Sequence) -> Sequence:
        """The outputs for ``tensors``, both as TVM's tensors in order."""
        _use_threads(self.threads)
        return self._main(*tensors)

    def to_tensor(self, array: np.ndarray):
        """Copy ``array`` to a TVM tensor."""
        return self._tensor(np.ascontiguousarray(array))


class Arguments:
    """A ``DoubleBuffer``: TVM allocates the next states, which become arguments of the next step."""

    def __init__(self, runner: TvmRunner, frame: str, states: Sequence[StateSpec]) -> None:
        self._runner, state_outputs = runner, {state.output for state in states}
        self._frame = runner.inputs.index(frame)
        self._state_indices = {
            runner.inputs.index(state.input): runner.outputs.index(state.output) for state in states
        }
        self._result_indices = {name: i for i, name in enumerate(runner.outputs) if name not in state_outputs}
        self._arguments: list[Any] = [None] * len(runner.inputs)
        self._results: Sequence[Any] = ()

    def write_frame(self, frame: np.ndarray) -> None:
        self._arguments[self._frame] = self._runner.to_tensor(frame)

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._arguments[self._runner.inputs.index(state.input)] = self._runner.to_tensor(value)

    def infer(self, number: int) -> None:
        self._results = self._runner.call(self._arguments)
        for argument, result in self._state_indices.items():
            self._arguments[argument] = self._results[result]

    def results(self) -> dict[str, np.ndarray]:
        return {name: self._results[index].numpy() for name, index in self._result_indices.items()}


_in_use = threading.local()


def _use_threads(threads: int) -> None:
    """Resize the calling thread's pool: TVM has a thread pool for each thread that calls it."""
    if getattr(_in_use, "threads", None) != threads:
        import tvm_ffi

        prepare_threads()
        tvm_ffi.get_global_func("runtime.config_threadpool")(ONE_THREAD_PER_CORE, threads)
        _in_use.threads = threads


def prepare_threads() -> None:
    """Set TVM's environment before its first thread starts: all cores, no binding.

    By default TVM uses half of the cores, and binds the calling thread to the first core for good.
    """
    os.environ.setdefault("TVM_NUM_THREADS", str(os.cpu_count() or 1))
    os.environ.setdefault("TVM_BIND_THREADS", "0")
