"""Run a TensorRT engine with pinned host buffers, one CUDA stream, and a CUDA graph per inference.

A graph has the copies to the device, the engine and the copies back, so an inference is one launch. The
states of a stream stay on the device, in two alternating sets of buffers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevid.backends.stepper import DoubleBufferedStepper
from edgevid.backends.tensorrt.runtime.cuda import Cuda, free_with
from edgevid.errors import BackendError

if TYPE_CHECKING:
    from edgevid.specs import StateSpec

log = logging.getLogger("edgevid")


class LoadedEngine:
    """An engine, its runtime and a CUDA stream, alive as long as any object that uses them."""

    def __init__(self, cuda: Cuda, engine: Any, runtime: Any) -> None:
        self.cuda, self.engine, self.runtime, self.stream = cuda, engine, runtime, cuda.stream()
        free_with(self, cuda.destroy_stream, self.stream)


class TensorRTRunner:
    """A ``Runner`` of an engine. ``threads`` is 1: the GPU does the work."""

    threads, op_coverage = 1, ()
    step_includes = ("transfers", "inference", "synchronization")

    def __init__(self, trt: Any, cuda: Cuda, engine: Any, runtime: Any) -> None:
        self._loaded = LoadedEngine(cuda, engine, runtime)
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        kinds = {name: (tuple(engine.get_tensor_shape(name)), _dtype(trt, engine, name)) for name in names}
        modes = {name: engine.get_tensor_mode(name) for name in names}
        self._inputs = {name: kinds[name] for name in names if modes[name] == trt.TensorIOMode.INPUT}
        self._outputs = {name: kinds[name] for name in names if name not in self._inputs}
        self.inputs = {name: shape for name, (shape, _) in self._inputs.items()}
        self.outputs = tuple(self._outputs)
        self._program_of_run: Program | None = None

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name; ``BackendError`` for an input of another shape than the engine's."""
        if self._program_of_run is None:
            self._program_of_run = self._program()
        self._fill(self._program_of_run, inputs)
        self._program_of_run()
        return {name: array.copy() for name, array in self._program_of_run.results.items()}

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], None]:
        """A function that runs one inference on ``inputs``, copies to and from the device included."""
        program = self._program()
        self._fill(program, inputs)
        return program

    def stepper(self, frame: str, states: Sequence[StateSpec]) -> DoubleBufferedStepper:
        return DoubleBufferedStepper(AlternatingPrograms(self._loaded, self._program, frame, states), states)

    def _program(self, on_device: Mapping[str, int] | None = None, **shared: np.ndarray) -> Program:
        return Program(self._loaded, self._inputs, self._outputs, on_device or {}, shared)

    def _fill(self, program: Program, inputs: Mapping[str, np.ndarray]) -> None:
        for name, (shape, _) in self._inputs.items():
            if name not in inputs or inputs[name].shape != shape:
                actual = inputs[name].shape if name in inputs else "nothing"
                raise BackendError(f"the engine takes '{name}' of shape {shape}, not {actual}: export again")
            program.inputs[name][...] = inputs[name]


class Program:
    """One inference with fixed buffers: the host arrays ``inputs`` and ``results``.

    ``on_device`` has the addresses of tensors that stay on the device; ``shared`` has pinned host arrays that
    several programs share.
    """

    def __init__(
        self,
        loaded: LoadedEngine,
        inputs: Mapping[str, tuple],
        outputs: Mapping[str, tuple],
        on_device: Mapping[str, int],
        shared: Mapping[str, np.ndarray],
    ) -> None:
        self._loaded, cuda = loaded, loaded.cuda
        self._cuda, self._stream = cuda, loaded.stream
        self._context = loaded.engine.create_execution_context()
        if self._context is None:
            raise BackendError("TensorRT cannot create an execution context: free GPU memory")
        self.inputs = self._host(inputs, on_device, shared)
        self.results = self._host(outputs, on_device, shared)
        self._addresses = dict(on_device)
        for name, array in (*self.inputs.items(), *self.results.items()):
            self._addresses[name] = cuda.allocate(max(array.nbytes, 1))
            free_with(self, cuda.free, self._addresses[name])
        for name, address in self._addresses.items():
            self._context.set_tensor_address(name, address)
        self._graph: int | None = None
        self._captured = False

    def __call__(self) -> None:
        """Run one inference and wait for it."""
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._enqueue()
        self._cuda.synchronize(self._stream)
        if not self._captured:
            self._capture()

    def _enqueue(self) -> None:
        for name, array in self.inputs.items():
            self._cuda.upload(self._addresses[name], array, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise BackendError("TensorRT could not run the engine: restart, or build it again")
        for name, array in self.results.items():
            self._cuda.download(array, self._addresses[name], self._stream)

    def _capture(self) -> None:
        """Capture the graph after the first inference, in which TensorRT does its one-time setup."""
        self._captured = True
        with self._cuda.capturing(self._stream) as graphs:
            self._enqueue()
        if graphs:
            (self._graph,) = graphs
            free_with(self, self._cuda.destroy_graph, self._graph)
        else:
            log.warning("CUDA cannot capture this network as a graph: each layer is launched separately")

    def _host(self, tensors: Mapping[str, tuple], on_device, shared) -> dict[str, np.ndarray]:
        arrays = {}
        for name, (shape, dtype) in tensors.items():
            if name in shared:
                arrays[name] = shared[name]
            elif name not in on_device:
                arrays[name] = self._cuda.pinned(shape, dtype)
                free_with(self, self._cuda.unpin, arrays[name])
        return arrays


class AlternatingPrograms:
    """A ``DoubleBuffer`` with two programs, each of which reads the states that the other wrote."""

    def __init__(
        self, loaded: LoadedEngine, program: Callable[..., Program], frame: str, states: Sequence[StateSpec]
    ) -> None:
        self._cuda, self._stream = loaded.cuda, loaded.stream
        self._sets = [{state.input: self._buffer(state) for state in states} for _ in range(2)]
        self._programs: list[Program] = []
        for source, target in ((0, 1), (1, 0)):
            addresses = dict(self._sets[source])
            addresses |= {state.output: self._sets[target][state.input] for state in states}
            shared = {frame: self._programs[0].inputs[frame]} if self._programs else {}
            self._programs.append(program(addresses, **shared))
        self._frame, self._last = self._programs[0].inputs[frame], 0

    def write_frame(self, frame: np.ndarray) -> None:
        self._frame[...] = frame

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._cuda.upload(self._sets[number][state.input], value, self._stream)
        self._cuda.synchronize(self._stream)  # before the array is freed

    def infer(self, number: int) -> None:
        self._programs[number]()
        self._last = number

    def results(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self._programs[self._last].results.items()}

    def _buffer(self, state: StateSpec) -> int:
        size = int(np.prod(state.shape, dtype=np.int64)) * np.dtype(state.dtype).itemsize
        address = self._cuda.allocate(max(size, 1))
        free_with(self, self._cuda.free, address)
        return address


def _dtype(trt: Any, engine: Any, name: str) -> np.dtype:
    return np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
