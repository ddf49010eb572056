"""The TensorRT plugins around the CUDA kernels, called as TensorRT calls them, on the CPU.

TensorRT is not here: unless ``$TRT_INCLUDE`` is the folder of a real NvInfer.h, the interfaces are our
simulated ones (``simulated_nvinfer``), and the kernels are emulated in any case.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgevid.backends.tensorrt.plugins import ops_with_plugin
from edgevid.kernels.channel_conv.reference import channel_conv
from edgevid.kernels.common import build
from edgevid.kernels.common.cuda import compile as cuda
from edgevid.kernels.temporal_conv.reference import temporal_conv
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SIMULATED = HERE / "simulated_nvinfer"
SIMULATED_VERSIONS = ("simulated TensorRT 8", "simulated TensorRT 10")
REAL = os.environ.get("TRT_INCLUDE", "")
KERNELS = cuda.FOLDER.parents[1]
TYPES = {"float32": 0, "float16": 1, "int8": 2}
LINEAR, HWC8, CHW4, CHW32 = 0, 2, 3, 5
LANES = {CHW4: 4, CHW32: 32}
PLUGINS = ("ChannelConv", "TemporalConv", "TemporalConvStep", "TemporalShift", "TemporalShiftStep")
SHIFT = {"frames": 3, "fold": 8, "first": 1, "second": -1}


class Tensor(ctypes.Structure):
    """The structure of run_plugin.cpp."""

    _fields_ = (
        ("type", ctypes.c_int32),
        ("format", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("dims", ctypes.c_int64 * 8),
        ("scale", ctypes.c_float),
        ("data", ctypes.c_void_p),
    )


@pytest.fixture(scope="session", params=[*SIMULATED_VERSIONS, *(["real headers"] if REAL else [])])
def plugins(request, tmp_path_factory):
    """All plugins in one library, with the program that simulates TensorRT."""
    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    kind, _, major = request.param.rpartition(" ")
    if kind == "simulated TensorRT":
        flags = (f"-DSIMULATED_TENSORRT={major}", "-I", str(SIMULATED))
    else:
        flags = ("-isystem", REAL, "-Wno-deprecated-declarations")
    output = tmp_path_factory.mktemp("plugins") / "plugins.so"
    cuda.compile_emulated([SIMULATED / "run_plugin.cpp"], output, "-I", str(KERNELS), *flags)
    library = ctypes.CDLL(str(output))
    library.plugin_names.restype = library.run_plugin.restype = ctypes.c_char_p
    return library


def run(plugins, name, inputs, outputs, attributes, formats=(), scales=()):
    """The error, or None. ``inputs`` and ``outputs`` are logical arrays, ``formats`` their layouts."""
    arrays = [*inputs, *outputs]
    formats = [*formats, *[LINEAR] * (len(arrays) - len(formats))]
    scales = [*scales, *[1.0] * (len(arrays) - len(scales))]
    buffers = [to_format(array, layout) for array, layout in zip(arrays, formats)]
    tensors = (Tensor * len(arrays))()
    for tensor, array, data, layout, scale in zip(tensors, arrays, buffers, formats, scales):
        tensor.type, tensor.format, tensor.rank = TYPES[str(array.dtype)], layout, array.ndim
        tensor.dims[: array.ndim] = array.shape
        tensor.scale, tensor.data = scale, data.ctypes.data
    keys = (ctypes.c_char_p * len(attributes))(*(key.encode() for key in attributes))
    values = (ctypes.c_int32 * len(attributes))(*attributes.values())
    refusal = plugins.run_plugin(
        f"edgevid::{name}".encode(), len(attributes), keys, values, len(inputs), len(outputs), tensors
    )
    for array, data, layout in zip(outputs, buffers[len(inputs) :], formats[len(inputs) :]):
        array[...] = from_format(data, layout, array.shape)
    return refusal and refusal.decode()


def to_format(array, layout):
    if layout == HWC8:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    if lanes := LANES.get(layout):
        n, c, h, w = array.shape
        return np.ascontiguousarray(array.reshape(n, c // lanes, lanes, h, w).transpose(0, 1, 3, 4, 2))
    return array.copy()


def from_format(data, layout, shape):
    if layout == HWC8:
        return data.transpose(0, 3, 1, 2)
    return data.transpose(0, 1, 4, 2, 3).reshape(shape) if layout in LANES else data


def random(shape, dtype="float32", seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) * (40 if dtype == "int8" else 1)
    return values.astype(dtype)


def test_every_plugin_has_the_name_of_its_node(plugins):
    assert plugins.plugin_names().decode().split() == [f"edgevid::{name}" for name in PLUGINS]
    assert sorted(op_type for op in ops_with_plugin() for op_type in op.op_types) == sorted(PLUGINS)


@pytest.mark.parametrize(
    "dtype, layout",
    [
        ("float32", LINEAR),
        ("float16", LINEAR),
        ("float16", HWC8),
        ("int8", LINEAR),
        ("int8", CHW4),
        ("int8", CHW32),
    ],
)
@pytest.mark.parametrize("second", [-1, 0])
def test_the_shift(plugins, dtype, layout, second):
    x = random((6, 32, 3, 5), dtype)
    y, attributes = np.ones_like(x), {**SHIFT, "second": second}
    assert run(plugins, "TemporalShift", [x], [y], attributes, [layout, layout]) is None
    np.testing.assert_array_equal(y, temporal_shift(x, **attributes))


@pytest.mark.parametrize("dtype, layout", [("float32", LINEAR), ("float16", HWC8), ("int8", LINEAR)])
def test_a_step_of_the_shift(plugins, dtype, layout):
    x, state = random((2, 32, 3, 5), dtype), random((2, 8, 3, 5), dtype, seed=1)
    y, next_state = np.ones_like(x), np.ones_like(state)
    assert run(plugins, "TemporalShiftStep", [x, state], [y, next_state], {"fold": 8}, [layout] * 4) is None
    for result, expected in zip((y, next_state), temporal_shift_step(x, state)):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype, layout", [("float32", LINEAR), ("float16", LINEAR), ("float16", HWC8)])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_temporal_convolution(plugins, dtype, layout, causal, with_bias):
    x, weights, bias = random((8, 16, 3, 3), dtype), random((16, 3), dtype, 1), random((16,), dtype, 2)
    inputs, y = [x, weights, *([bias] if with_bias else [])], np.ones_like(x)
    formats = [layout, *[LINEAR] * (len(inputs) - 1), layout]
    assert run(plugins, "TemporalConv", inputs, [y], {"frames": 4, "causal": causal}, formats) is None
    doubles = [array.astype(np.float64) for array in inputs]
    assert_close(y, temporal_conv(*doubles, frames=4, past=2 if causal else 1)[0])


@pytest.mark.parametrize("with_bias", [False, True])
def test_a_step_of_the_temporal_convolution(plugins, with_bias):
    x, weights, bias = random((2, 8, 3, 3)), random((8, 5), seed=1), random((8,), seed=2)
    state = random((2, 32, 3, 3), seed=3)
    inputs, outputs = (
        [x, state, weights, *([bias] if with_bias else [])],
        [np.ones_like(x), np.ones_like(state)],
    )
    assert run(plugins, "TemporalConvStep", inputs, outputs, {}) is None
    frames = state.reshape(2, 4, 8, 3, 3)
    y, next_state = temporal_conv(x, weights, bias if with_bias else None, frames=1, past=4, state=frames)
    assert_close(outputs[0], y)
    np.testing.assert_array_equal(outputs[1], next_state.reshape(state.shape))


@pytest.mark.parametrize("stride, pads", [(1, (3, 4)), (2, (3, 3)), (4, (2, 2)), (1, (0, 0))])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_channel_convolution(plugins, stride, pads, dtype):
    x, weights, bias = random((2, 24, 3, 3), dtype), random((3, 8), dtype, 1), random((3,), dtype, 2)
    expected = channel_conv(
        *(array.astype(np.float64) for array in (x, weights, bias)), stride=stride, pads=pads
    )
    y, attributes = (
        np.ones_like(expected, dtype),
        {"stride": stride, "pad_begin": pads[0], "pad_end": pads[1]},
    )
    assert run(plugins, "ChannelConv", [x, weights, bias], [y], attributes) is None
    assert_close(y, expected)


def assert_close(y, expected):
    tolerance = 1e-5 if y.dtype == np.float32 else 2e-3
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def test_what_a_plugin_refuses(plugins, capfd):
    x, y = random((6, 32, 3, 5)), random((6, 32, 3, 5))
    without = {key: value for key, value in SHIFT.items() if key != "fold"}
    assert run(plugins, "TemporalShift", [x], [y], without) == "the creator refuses the attributes"
    ctypes.CDLL(None).fflush(None)
    assert "no integer attribute 'fold'" in capfd.readouterr().err
    assert run(plugins, "TemporalShift", [x], [y[:3]], SHIFT) == "another output shape"
    assert run(plugins, "TemporalShift", [x], [y.astype("float16")], SHIFT) == "another output type"
    assert run(plugins, "TemporalShift", [x], [y], {**SHIFT, "frames": 4}) == "enqueue fails"
    assert run(plugins, "Shift", [x], [y], SHIFT) == "no such plugin"


def test_which_formats_a_plugin_refuses(plugins):
    unsupported = "the format is not supported"
    x = random((6, 32, 3, 5), "int8")
    y = np.ones_like(x)
    # A copy of int8 data has the same values only with the same scale.
    assert run(plugins, "TemporalShift", [x], [y], SHIFT, scales=[0.5, 0.25]) == unsupported
    assert run(plugins, "TemporalShift", [x], [y], SHIFT, [CHW32, LINEAR]) == unsupported
    half = random((6, 20, 3, 5), "float16")  # padded to 24 channels in HWC8
    assert run(plugins, "TemporalShift", [half], [np.ones_like(half)], SHIFT, [HWC8, HWC8]) == unsupported
    weights = random((32, 3), "int8")
    assert run(plugins, "TemporalConv", [x, weights], [y], {"frames": 3, "causal": 0}) == unsupported


def test_the_comparison_fails_for_another_direction(plugins):
    x = random((6, 32, 3, 5))
    y = np.ones_like(x)
    assert run(plugins, "TemporalShift", [x], [y], {**SHIFT, "first": -1, "second": 1}) is None
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(y, temporal_shift(x, **SHIFT))


REGISTRY = """
#include <NvInfer.h>
#include <string>
static std::string names;
struct Registry : nvinfer1::IPluginRegistry {
  bool registerCreator(nvinfer1::AnyCreator& creator, const char* space) noexcept override {
    names += std::string(space) + "::" + creator.getPluginName() + " " + creator.getPluginVersion() + "\\n";
    return true;
  }
} registry;
extern "C" nvinfer1::IPluginRegistry* getPluginRegistry() noexcept { return &registry; }
extern "C" const char* registered() { return names.c_str(); }
"""


def test_the_makefile_builds_a_library_that_registers_its_plugins(tmp_path):
    """With nvcc, for one GPU, with the simulated header and a fake of TensorRT's registry."""
    nvcc = cuda.find_nvcc()
    if nvcc is None or build.find_compiler() is None:
        pytest.skip("nvcc or a C++ compiler is not on this machine")
    flag = "-DSIMULATED_TENSORRT=10"
    make = [
        "make", "--directory", tmp_path, "--file", KERNELS / "common/tensorrt/Makefile", f"KERNELS={KERNELS}",
        f"SM={cuda.supported_architectures(nvcc)[0]}", f"TRT_INCLUDE={SIMULATED}", "NVINFER=",
    ]  # fmt: skip
    subprocess.run([*make, f"NVCC={nvcc} {flag}"], check=True, capture_output=True)
    stub = tmp_path / "registry.cpp"
    stub.write_text(REGISTRY)
    cuda.compile_emulated([stub], tmp_path / "registry.so", flag, "-I", str(SIMULATED))
    registry = ctypes.CDLL(str(tmp_path / "registry.so"), mode=ctypes.RTLD_GLOBAL)
    registry.registered.restype = ctypes.c_char_p
    ctypes.CDLL(str(tmp_path / "libedgevid_plugins.so"))
    assert sorted(registry.registered().decode().splitlines()) == [f"edgevid::{name} 1" for name in PLUGINS]


@pytest.mark.parametrize("fused", [False, True], ids=["no compiled.h", "a compiled.h"])
def test_the_makefile_compiles_each_op_with_a_plugin(tmp_path, fused):
    shutil.copytree(KERNELS, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    if fused:
        (tmp_path / "kernels/shift_conv/compiled.h").touch()
    makefile = KERNELS / "common/tensorrt/Makefile"
    make = ["make", "--dry-run", "--directory", tmp_path, "--file", makefile, "KERNELS=kernels", "SM=87"]
    output = subprocess.run(make, capture_output=True, text=True, check=True).stdout
    compiled = set(re.findall(r"-c kernels/(\w+)/tensorrt_plugin\.cu", output))
    assert compiled == {op.snake_name for op in ops_with_plugin()} | ({"shift_conv"} if fused else set())


def test_the_makefile_needs_the_gpu(tmp_path):
    make = [
        "make",
        "--directory",
        tmp_path,
        "--file",
        KERNELS / "common/tensorrt/Makefile",
        f"KERNELS={KERNELS}",
    ]
    process = subprocess.run(make, capture_output=True, text=True)
    assert process.returncode != 0
    assert "SM=87" in process.stderr


def test_the_makefile_builds_against_real_headers(tmp_path):
    if not REAL:
        pytest.skip(
            "TRT_INCLUDE names no folder with NvInfer.h: it is in `include` of TensorRT's source repository"
        )
    nvcc = cuda.find_nvcc()
    if nvcc is None:
        pytest.skip("nvcc is not on this machine")
    make = [
        "make", "--directory", tmp_path, "--file", KERNELS / "common/tensorrt/Makefile", f"KERNELS={KERNELS}",
        f"NVCC={nvcc}", f"SM={cuda.supported_architectures(nvcc)[0]}", f"TRT_INCLUDE={REAL}", "NVINFER=",
    ]  # fmt: skip
    subprocess.run(make, check=True, capture_output=True)
    stub = tmp_path / "no_registry.cpp"
    stub.write_text('extern "C" void* getPluginRegistry() { return nullptr; }')
    cuda.compile_emulated([stub], tmp_path / "no_registry.so")
    ctypes.CDLL(str(tmp_path / "no_registry.so"), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(tmp_path / "libedgevid_plugins.so"))
