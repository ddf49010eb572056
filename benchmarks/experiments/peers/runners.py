"""A runner for each peer in edgevid's environment; each imports its runtime when opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.experiments.peers.cases import Case
from edgevid.benchmarks.experiments.peers.worker_protocol import Runner
from edgevid.host.telemetry import disable_openvino_telemetry


class Edgevid(Runner):
    """A bundle, opened with ``edgevid.open``."""

    def __init__(self, folder: Path, clip: np.ndarray, case: dict[str, Any], network: str, threads: int):
        import edgevid

        super().__init__(clip, Case(**case).streaming)
        self.version = edgevid.__version__
        self._session = edgevid.open(folder / f"{network}.bundle", threads=threads)
        self.kernels = Counter(op.kernel or f"none: {op.reason}" for op in self._session.op_coverage)
        self.step = self._session.prepare(self.x)

    def output(self) -> np.ndarray:
        if not self.streaming:
            return self._session.run(self.clip)["logits"]
        stream = self._session.stream()
        return np.concatenate([stream.push(frame)["logits"] for frame in self.clip.swapaxes(0, 1)])


class OnnxRuntime(Runner):
    """A standard export in a plain session with I/O binding; a stream's states are double-buffered."""

    def __init__(self, folder: Path, clip: np.ndarray, case: dict[str, Any], network: str, threads: int):
        import onnxruntime as ort

        super().__init__(clip, Case(**case).streaming)
        self.version = ort.__version__
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            str(folder / f"{network}.onnx"), options, ["CPUExecutionProvider"]
        )
        (_, *states), (result, *_) = self._session.get_inputs(), self._session.get_outputs()
        self._logits = np.zeros(result.shape, np.float32)
        self._states = [[np.zeros(state.shape, np.float32) for state in states] for _ in range(2)]
        value = ort.OrtValue.ortvalue_from_numpy
        x, logits, sets = value(self.x), value(self._logits), [[*map(value, one)] for one in self._states]
        self._bindings = []
        for before, after in (sets, sets[::-1]):
            binding = self._session.io_binding()
            for spec, bound in zip(self._session.get_inputs(), [x, *before]):
                binding.bind_ortvalue_input(spec.name, bound)
            for spec, bound in zip(self._session.get_outputs(), [logits, *after]):
                binding.bind_ortvalue_output(spec.name, bound)
            self._bindings.append(binding)

    def step(self) -> None:
        self._session.run_with_iobinding(self._bindings[0])
        self._bindings.reverse()

    def logits(self) -> np.ndarray:
        return self._logits

    def reset(self) -> None:
        for state in (*self._states[0], *self._states[1]):
            state[...] = 0


class OpenVino(Runner):
    """The same export in float32 (by the precision hint), with the latency hint."""

    def __init__(self, folder: Path, clip: np.ndarray, case: dict[str, Any], network: str, threads: int):
        disable_openvino_telemetry()
        import openvino as ov

        super().__init__(clip, Case(**case).streaming)
        self.version = ov.__version__
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        compiled = ov.Core().compile_model(folder / f"{network}.onnx", "CPU", options)
        states = [list(port.shape) for port in compiled.inputs[1:]]
        self._logits = np.zeros(list(compiled.outputs[0].shape), np.float32)
        self._states = [[np.zeros(shape, np.float32) for shape in states] for _ in range(2)]
        # The latency hint has a single stream, so both requests share its memory.
        self._requests = []
        for before, after in (self._states, self._states[::-1]):
            request = compiled.create_infer_request()
            for index, array in enumerate((self.x, *before)):
                request.set_input_tensor(index, ov.Tensor(array, shared_memory=True))
            for index, array in enumerate((self._logits, *after)):
                request.set_output_tensor(index, ov.Tensor(array, shared_memory=True))
            self._requests.append(request)

    def step(self) -> None:
        self._requests[0].infer()
        self._requests.reverse()

    logits = OnnxRuntime.logits
    reset = OnnxRuntime.reset


class PyTorch(Runner):
    """The network in eager mode."""

    def __init__(self, folder: Path, clip: np.ndarray, case: dict[str, Any], network: str, threads: int):
        import torch

        from edgevid.benchmarks.experiments.peers.networks import WEIGHTS, example_of, ordinary_network

        super().__init__(clip, Case(**case).streaming)
        self.version = torch.__version__
        torch.set_num_threads(threads)
        self._no_grad = torch.no_grad
        self._model = ordinary_network(Case(**case), network, folder / WEIGHTS)
        self._x = torch.from_numpy(self.x)
        self._states = self._zeros = example_of(Case(**case), self._model, torch.from_numpy(clip))[1:]

    def step(self) -> None:
        with self._no_grad():
            result = self._model(self._x, *self._states)
        self._result, *self._states = result if self.streaming else (result,)

    def logits(self) -> np.ndarray:
        return self._result.numpy()

    def reset(self) -> None:
        self._states = self._zeros


class Compiled(PyTorch):
    """The network under ``torch.compile`` with default options."""

    def __init__(self, **request: Any):
        import torch

        super().__init__(**request)
        self._model = torch.compile(self._model)


RUNNERS: dict[str, Callable[..., Runner]] = {
    "edgevid": Edgevid,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVino,
    "eager": PyTorch,
    "compile": Compiled,
}
