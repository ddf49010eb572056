"""Fakes of TensorRT's Python module and of libcudart (simulated), without a GPU or TensorRT.

Device memory is memory of this process. An engine is the ONNX file itself, which ONNX Runtime runs; work
enqueued on a stream while it is captured is recorded, and done by each launch of the graph.
"""

from __future__ import annotations

import ctypes
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import onnxruntime

MAGIC = b"simulated engine "
OUT_OF_MEMORY = 2
CAPTURE_FAILED = 901


class SimulatedCudart:
    """The functions that ``cuda.Cuda`` calls; ``calls`` has their names in order."""

    def __init__(self, devices: int = 1, name: bytes = b"Simulated GPU", captures: bool = True) -> None:
        self.devices, self.name, self.captures = devices, name, captures
        self.calls: list[str] = []
        self.memory: dict[int, ctypes.Array] = {}
        self.recording: list | None = None
        self.graphs: dict[int, list] = {}
        self.limit = 1 << 40

    def __getattribute__(self, name: str):
        value = super().__getattribute__(name)
        if name.startswith("cuda"):
            super().__getattribute__("calls").append(name)
        return value

    def cudaGetDeviceCount(self, count) -> int:
        count._obj.value = self.devices
        return 0 if self.devices else 100

    def cudaDeviceGetAttribute(self, value, attribute, device) -> int:
        value._obj.value = {75: 8, 76: 7}[attribute.value]
        return 0

    def cudaGetDeviceProperties(self, properties, device) -> int:
        properties.value = self.name
        return 0

    def cudaGetErrorString(self, status) -> bytes:
        return {OUT_OF_MEMORY: b"out of memory", 100: b"no device"}.get(status.value, b"some error")

    def cudaGetLastError(self) -> int:
        return 0

    def cudaMalloc(self, pointer, size) -> int:
        assert self.recording is None, "memory is allocated while a graph is captured"
        if size.value > self.limit:
            return OUT_OF_MEMORY
        block = (ctypes.c_uint8 * size.value)(*([0xCD] * min(size.value, 4096)))
        pointer._obj.value = ctypes.addressof(block)
        self.memory[pointer._obj.value] = block
        return 0

    def cudaHostAlloc(self, pointer, size, flags) -> int:
        return self.cudaMalloc(pointer, size)

    def cudaFree(self, address) -> int:
        return 0 if self.memory.pop(address.value, None) is not None else 1

    cudaFreeHost = cudaFree

    def cudaStreamCreateWithFlags(self, stream, flags) -> int:
        stream._obj.value = 77
        return 0

    def cudaStreamDestroy(self, stream) -> int:
        return 0

    def cudaStreamSynchronize(self, stream) -> int:
        assert self.recording is None, "a stream is waited for while it is captured"
        return 0

    def cudaMemcpyAsync(self, to, source, size, kind, stream) -> int:
        self.enqueue(lambda: ctypes.memmove(to.value, source.value, size.value))
        return 0

    def enqueue(self, work) -> None:
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def cudaStreamBeginCapture(self, stream, mode) -> int:
        self.recording = []
        return 0

    def cudaStreamEndCapture(self, stream, graph) -> int:
        calls, self.recording = self.recording, None
        if not self.captures:
            return CAPTURE_FAILED
        graph._obj.value = 1000 + len(self.graphs)
        self.graphs[graph._obj.value] = calls
        return 0

    def cudaGraphInstantiateWithFlags(self, executable, graph, flags) -> int:
        executable._obj.value = graph.value
        return 0

    def cudaGraphDestroy(self, graph) -> int:
        return 0

    def cudaGraphExecDestroy(self, graph) -> int:
        return 0

    def cudaGraphLaunch(self, graph, stream) -> int:
        for work in self.graphs[graph.value]:
            work()
        return 0


def simulated_tensorrt(cudart: SimulatedCudart, version: str = "10.3.0") -> ModuleType:
    """A fake ``tensorrt`` module; ``builds`` lists the builds, ``refuses`` is the reason if all fail."""
    trt = ModuleType("tensorrt")
    trt.__version__, trt.builds, trt.refuses = version, [], ""
    is_old = int(version.split(".")[0]) < 9

    class ILogger:
        Severity = SimpleNamespace(ERROR="error", INTERNAL_ERROR="internal error")

    class Network:
        num_layers, path = 1, None

    class Builder:
        def __init__(self, logger) -> None:
            self.logger = logger

        def create_network(self, flags: int) -> Network:
            assert flags == (1 << 0 if is_old else 1 << 4)
            return Network()

        def create_builder_config(self):
            flags: list[str] = []
            return SimpleNamespace(
                flags=flags,
                set_memory_pool_limit=lambda pool, size: None,
                clear_flag=lambda flag: None,
                set_flag=flags.append,
            )

        def build_serialized_network(self, network: Network, config) -> bytes | None:
            if trt.refuses:
                self.logger.log(ILogger.Severity.ERROR, trt.refuses)
                return None
            trt.builds.append((network.path, tuple(config.flags)))
            return MAGIC + onnx.load(network.path).SerializeToString()  # with its external weights

    class OnnxParser:
        num_errors = 0

        def __init__(self, network: Network, logger) -> None:
            self.network = network

        def parse_from_file(self, path: str) -> bool:
            self.network.path = path
            return True

    class Runtime:
        def __init__(self, logger) -> None:
            pass

        def deserialize_cuda_engine(self, content: bytes):
            return Engine(content) if content.startswith(MAGIC) else None

    class Engine:
        def __init__(self, content: bytes) -> None:
            self.session = onnxruntime.InferenceSession(
                content.removeprefix(MAGIC), providers=["CPUExecutionProvider"]
            )
            self.inputs = {value.name: value for value in self.session.get_inputs()}
            self.tensors = {**self.inputs, **{value.name: value for value in self.session.get_outputs()}}
            self.num_io_tensors = len(self.tensors)

        def get_tensor_name(self, index: int) -> str:
            return list(self.tensors)[index]

        def get_tensor_shape(self, name: str) -> list[int]:
            return self.tensors[name].shape

        def get_tensor_dtype(self, name: str) -> str:
            return self.tensors[name].type

        def get_tensor_mode(self, name: str) -> str:
            return "input" if name in self.inputs else "output"

        def create_execution_context(self):
            return Context(self)

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.engine, self.addresses = engine, {}

        def set_tensor_address(self, name: str, address: int) -> None:
            self.addresses[name] = address

        def execute_async_v3(self, stream: int) -> bool:
            addresses = dict(self.addresses)
            cudart.enqueue(lambda: self._execute(addresses))
            return True

        def _execute(self, addresses: dict[str, int]) -> None:
            views = {}
            for name, value in self.engine.tensors.items():
                size = int(np.prod(value.shape))
                block = (ctypes.c_float * size).from_address(addresses[name])
                views[name] = np.frombuffer(block, np.float32).reshape(value.shape)
            outputs = [name for name in views if name not in self.engine.inputs]
            inputs = {name: views[name].copy() for name in self.engine.inputs}
            for name, array in zip(outputs, self.engine.session.run(outputs, inputs)):
                views[name][...] = array

    flags = {"EXPLICIT_BATCH": 0} if is_old else {"STRONGLY_TYPED": 4}
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(**flags)
    trt.BuilderFlag = SimpleNamespace(FP16="FP16", INT8="INT8", TF32="TF32")
    trt.MemoryPoolType = SimpleNamespace(WORKSPACE="workspace")
    trt.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
    trt.TensorIOMode = SimpleNamespace(INPUT="input", OUTPUT="output")
    trt.nptype = lambda kind: {"tensor(float)": np.float32}[kind]
    for kind in (ILogger, Builder, OnnxParser, Runtime):
        setattr(trt, kind.__name__, kind)
    return trt
