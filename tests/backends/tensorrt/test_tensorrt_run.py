"""Sessions on TensorRT, with fakes of its module and of libcudart (simulated: ``simulated_tensorrt``)."""

from __future__ import annotations

import ctypes
import gc
import shutil
import sys

import numpy as np
import pytest
from simulated_tensorrt import SimulatedCudart, simulated_tensorrt

import edgevid
from edgevid import parity
from edgevid.backends import BACKENDS
from edgevid.backends.protocol import OpenOptions
from edgevid.backends.tensorrt import backend
from edgevid.backends.tensorrt.runtime import cuda as trt_cuda
from edgevid.backends.tensorrt.runtime import engine as trt_engine
from edgevid.backends.tensorrt.runtime.cuda import Cuda
from edgevid.backends.tensorrt.runtime.engine import source_of
from edgevid.errors import BackendError
from edgevid.specs import TOLERANCE, Artefact

MODEL = Artefact("model_fp16.onnx", "fp16", "", "onnxruntime")
ENGINE_CALLS = (
    "num_io_tensors", "get_tensor_name", "get_tensor_shape", "get_tensor_dtype", "get_tensor_mode",
    "create_execution_context",
)  # fmt: skip


class Device:
    """This machine, with a fake GPU and a fake TensorRT (simulated)."""

    def __init__(self, patch) -> None:
        self._patch = patch
        self.install()

    def install(self, version: str = "10.3.0", **options) -> None:
        self.cudart = SimulatedCudart(**options)
        self.trt = simulated_tensorrt(self.cudart, version)
        self._patch.setitem(sys.modules, "tensorrt", self.trt)
        self._patch.setattr(trt_engine.importlib.util, "find_spec", lambda name: name)
        self._patch.setattr(trt_cuda, "load", lambda: Cuda(self.cudart))
        backend.opens_here.cache_clear()


@pytest.fixture
def device(monkeypatch):
    yield Device(monkeypatch)
    backend.opens_here.cache_clear()


@pytest.fixture
def clip_copy(jetson_bundle, tmp_path):
    return shutil.copytree(jetson_bundle.path, tmp_path / "clip")


@pytest.fixture
def stream_copy(jetson_stream_bundle, tmp_path):
    return shutil.copytree(jetson_stream_bundle.path, tmp_path / "stream")


def test_a_session_takes_tensorrt_where_there_is_a_gpu(device, clip_copy):
    session = edgevid.open(clip_copy)
    assert session.backend == "tensorrt"
    assert (session.threads, session.op_coverage) == (1, ())
    clip, expected = parity.load(clip_copy)
    for factor in (1.0, 1.0, 0.5):
        outputs = session.run(clip * np.float32(factor))
        assert parity.compare(outputs, expected, TOLERANCE["fp16"]).ok is (factor == 1.0)
    two = session.run(np.concatenate([clip, clip * 0.5]))["logits"]
    assert parity.compare({"logits": two[:1]}, expected, TOLERANCE["fp16"]).ok
    assert two.shape == (2, 5)
    assert not np.array_equal(two[0], two[1])


def test_without_a_gpu_onnx_runtime_opens_it_as_before(device, clip_copy):
    device.install(devices=0)
    assert edgevid.open(clip_copy).backend == "onnxruntime"
    assert not BACKENDS["tensorrt"].opens_here()
    with pytest.raises(BackendError, match="no device"):
        backend.open_model(MODEL, clip_copy, OpenOptions())


def test_every_inference_but_the_first_is_one_launch_of_a_graph(device, clip_copy):
    session = edgevid.open(clip_copy)
    step = session.prepare(parity.load(clip_copy)[0])
    step()
    device.cudart.calls.clear()
    step()
    assert device.cudart.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]


def test_where_cuda_captures_no_graph_the_outputs_are_the_same(device, clip_copy, caplog):
    clip, expected = parity.load(clip_copy)
    device.install(captures=False)
    session = edgevid.open(clip_copy)
    for _ in range(3):
        assert parity.compare(session.run(clip), expected, TOLERANCE["fp16"]).ok
    assert "cannot capture" in caplog.text
    assert "cudaGraphLaunch" not in device.cudart.calls


def test_a_stream_gives_what_pytorch_does_and_forgets_on_reset(device, stream_copy):
    session = edgevid.open(stream_copy)
    clip, expected = parity.load(stream_copy)
    stream = session.stream()
    for _ in range(2):
        logits = np.concatenate([stream.push(clip[:, t])["logits"] for t in range(clip.shape[1])])
        assert parity.compare({"logits": logits}, expected, TOLERANCE["fp16"]).ok
        stream.push(clip[:, 0])  # so that the reset comes while the second set of states is current
        stream.reset()
    first, second = session.stream(), session.stream()
    first.push(clip[:, 0])
    assert not np.allclose(first.push(clip[:, 1])["logits"], second.push(clip[:, 1])["logits"], atol=1e-3)


def test_states_never_leave_the_device(device, stream_copy):
    stepper = edgevid.open(stream_copy).stream()
    clip, _ = parity.load(stream_copy)
    for t in range(2):  # both graphs are captured
        stepper.push(clip[:, t])
    graphs = device.cudart.graphs.values()
    assert [len(graph) for graph in graphs] == [3, 3], "the frame in, the engine, the logits out"
    device.cudart.calls.clear()
    stepper.push(clip[:, 2])
    assert device.cudart.calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]


def test_memory_is_freed_with_the_session(device, stream_copy):
    session = edgevid.open(stream_copy)
    stream = session.stream()
    stream.push(parity.load(stream_copy)[0][:, 0])
    assert device.cudart.memory
    del session, stream
    gc.collect()
    assert not device.cudart.memory
    assert {"cudaStreamDestroy", "cudaGraphExecDestroy", "cudaFreeHost"} <= set(device.cudart.calls)


def test_what_one_inference_needs_outlives_the_session(device, clip_copy):
    step = edgevid.open(clip_copy).prepare()
    gc.collect()
    assert "cudaStreamDestroy" not in device.cudart.calls
    step()
    step()


def test_an_engine_is_built_once_for_each_gpu_and_version(device, clip_copy):
    edgevid.open(clip_copy)
    edgevid.open(clip_copy)
    assert len(device.trt.builds) == 1
    (entry,) = (clip_copy / "cache").glob("model_fp16-*.engine")
    for options in ({"version": "10.3.1"}, {"name": b"Another GPU"}):
        device.install(**options)
        edgevid.open(clip_copy)
        assert len(device.trt.builds) == 1, options
    assert entry.exists()
    assert len(list((clip_copy / "cache").iterdir())) == 3


@pytest.mark.parametrize("how", ["cut off", "a changed byte", "empty"])
def test_a_corrupt_engine_is_built_again(device, clip_copy, caplog, how):
    edgevid.open(clip_copy)
    (entry,) = (clip_copy / "cache").glob("*.engine")
    content = bytearray(entry.read_bytes())
    if how == "a changed byte":
        content[1000] ^= 1
    entry.write_bytes({"cut off": content[:-100], "a changed byte": content, "empty": b""}[how])
    clip, expected = parity.load(clip_copy)
    assert parity.compare(edgevid.open(clip_copy).run(clip), expected, TOLERANCE["fp16"]).ok
    assert len(device.trt.builds) == 2
    assert "is corrupt, or not this user's" in caplog.text


def test_an_engine_that_tensorrt_refuses_to_load_is_built_again(device, clip_copy, monkeypatch):
    edgevid.open(clip_copy)
    (entry,) = (clip_copy / "cache").glob("*.engine")
    trt_engine._write(entry, b"of another make")
    edgevid.open(clip_copy)
    assert len(device.trt.builds) == 2


def test_a_failing_build_is_one_line_with_the_reason(device, clip_copy, refuses):
    device.trt.refuses = "Error Code 2: no memory\nand a long story"
    with pytest.raises(
        BackendError, match=r"cannot build an engine of 'model_fp16.onnx': Error Code 2: no mem"
    ):
        edgevid.open(clip_copy)
    refuses(["inspect", clip_copy, "--verify"], "no memory", "fp32")
    assert not list((clip_copy / "cache").glob("*.engine"))


def test_a_full_gpu_is_one_line(device, clip_copy):
    session = edgevid.open(clip_copy)
    device.cudart.limit = 10
    with pytest.raises(BackendError, match="out of memory"):
        session.run(parity.load(clip_copy)[0])


def test_a_tensorrt_that_is_too_old_for_a_session_is_not_used(device, clip_copy):
    device.install("8.4.1")
    assert edgevid.open(clip_copy).backend == "onnxruntime"
    with pytest.raises(BackendError, match=r"TensorRT 8\.4\.1 is too old: a session needs 8\.5"):
        backend.open_model(MODEL, clip_copy, OpenOptions())


def test_a_bundle_that_needs_a_newer_one_is_refused_before_the_build(device, clip_copy):
    device.install("8.6.1")
    env = clip_copy / "bundle.env"
    env.write_text(env.read_text().replace("NEEDS=8.2", "NEEDS=10.0"))
    with pytest.raises(BackendError, match=r"needs TensorRT 10\.0 or later"):
        backend.open_model(MODEL, clip_copy, OpenOptions())
    assert not device.trt.builds


def test_before_strong_typing_the_builder_chooses_fp16(device, clip_copy):
    device.install("8.6.1")
    clip, expected = parity.load(clip_copy)
    assert parity.compare(edgevid.open(clip_copy).run(clip), expected, TOLERANCE["fp16"]).ok
    ((path, flags),) = device.trt.builds
    assert path.endswith("model_fp32.onnx")
    assert flags == ("FP16",)
    assert source_of(device.trt, clip_copy / "model_int8.onnx")[1] == ("INT8", "FP16")
    assert source_of(device.trt, clip_copy / "model_fp32.onnx")[1] == ()


def test_verify_runs_the_engine_as_well(device, clip_copy, run_edgevid):
    result = run_edgevid("inspect", clip_copy, "--verify")
    assert result.status == 0, result.err
    assert "model_fp16.onnx with tensorrt: equal to PyTorch" in result.out
    assert [path.rpartition("/")[2] for path, _ in device.trt.builds] == ["model_fp16.onnx"]


def test_doctor_says_what_runs_here(device):
    state = backend.available()
    assert state.ok
    assert state.what == "TensorRT 10.3.0 builds and runs engines on Simulated GPU"
    device.install("8.0.1")
    assert "too old" in str(backend.available())


def test_a_machine_without_libcudart_says_what_to_install(monkeypatch):
    def no_library(name):
        raise OSError(name)

    monkeypatch.setattr(trt_cuda.ctypes, "CDLL", no_library)
    with pytest.raises(BackendError, match="libcudart"):
        trt_cuda.load.__wrapped__()


def test_the_real_cuda_runtime_has_every_function_and_says_that_there_is_no_gpu():
    libraries = trt_cuda.find_libraries()
    if not libraries:
        pytest.skip("no libcudart is on this machine (it comes with CUDA)")
    library = ctypes.CDLL(libraries[-1])
    functions = [name for name in dir(SimulatedCudart) if name.startswith("cuda")]
    assert len(functions) > 15
    for name in functions:
        assert getattr(library, name)
    try:
        assert Cuda(library).name()
    except BackendError as error:
        assert str(error).startswith(("CUDA: cudaGetDeviceCount failed: ", "CUDA finds no GPU"))


def test_the_fake_tensorrt_has_only_names_of_the_real_one():
    """TensorRT-RTX has the names of TensorRT that are used here."""
    real = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    simulated = simulated_tensorrt(SimulatedCudart())
    for kind in ("ILogger", "Builder", "OnnxParser", "Runtime", "TensorIOMode", "MemoryPoolType"):
        for name in vars(getattr(simulated, kind)):
            assert name.startswith("_") or hasattr(getattr(real, kind), name), (kind, name)
    for kind, names in {
        "ICudaEngine": ENGINE_CALLS,
        "IExecutionContext": ["set_tensor_address", "execute_async_v3"],
    }.items():
        assert all(hasattr(getattr(real, kind), name) for name in names)
    assert real.nptype(real.float32) is np.float32


def test_an_input_of_another_shape_is_refused(device, clip_copy):
    runner = backend.open_model(MODEL, clip_copy, OpenOptions())
    with pytest.raises(BackendError, match=r"takes 'clip' of shape \(1, 4, 3, 64, 64\), not \(1, 2\)"):
        runner.run({"clip": np.zeros((1, 2), np.float32)})
    with pytest.raises(BackendError, match="not nothing"):
        runner.run({})
