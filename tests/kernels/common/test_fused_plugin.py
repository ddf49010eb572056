"""The shift inside a convolution as a TensorRT plugin: found in a graph, compiled, driven as TensorRT does.

TensorRT and a GPU are not here: the interfaces are simulated, and what the PTX does is emulated in C++.
``test_shift_conv_triton`` shows that the PTX's source is right.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from test_plugins import HWC8, KERNELS, LINEAR, REAL, SIMULATED, assert_close, random
from test_plugins import run as run_plugin

from edgevid.backends.tensorrt import fused_plugins
from edgevid.kernels.common import build
from edgevid.kernels.common.cuda import compile as cuda
from edgevid.kernels.shift_conv.reference import pointwise
from edgevid.kernels.temporal_shift.reference import temporal_shift
from edgevid.passes.fuse_shift_convs import FusedLayer, fuse_shift_convs, unfused
from edgevid.specs import Gpu
from edgevid.targets import TARGETS

pytestmark = pytest.mark.slow

ORIN = fused_plugins.compile_target_of(TARGETS["jetson"].gpu)
LAYERS = [
    FusedLayer(16, 24, 3, 4, 1, -1, 0.0, 6.0, rows=90),
    FusedLayer(24, 8, 4, 3, -1, 0, 0.0, None, rows=36),
    FusedLayer(8, 8, 2, 1, -1, 1, None, None, rows=8),
]
PLUGIN = {"plugin_version": "1", "plugin_namespace": "edgevid"}
FAKE_KERNEL = {
    "ptx": "// none",
    "kernel": "k",
    "rows": 64,
    "outputs": 32,
    "shared_bytes": 1024,
    "threads": 128,
}


def graph_of(layer: FusedLayer, strides=(1, 1), with_bias=True, reads_twice=False) -> ir.Model:
    """x -> shift -> 1x1 convolution -> bounds, with plugin nodes in half precision."""
    half, images = onnx.TensorProto.FLOAT16, layer.frames
    shift = {name: getattr(layer, name) for name in ("frames", "fold", "first", "second")}
    helper = onnx.helper
    nodes = [
        helper.make_node("TemporalShift", ["x"], ["s"], "shift", domain="edgevid", **shift, **PLUGIN),
        helper.make_node(
            "Conv", ["s", "w", *(["b"] if with_bias else [])], ["c"], "conv", strides=list(strides), group=1
        ),
    ]
    if layer.high is not None:
        nodes.append(helper.make_node("Clip", ["c", "low", "high"], ["y"]))
    else:
        nodes.append(helper.make_node("Relu" if layer.low is not None else "Identity", ["c"], ["y"]))
    if reads_twice:
        nodes.append(helper.make_node("Identity", ["s"], ["again"]))
    weights, bias = (
        random((layer.outputs, layer.channels, 1, 1), "float16"),
        random(layer.outputs, "float16", 1),
    )
    constants = {"w": weights, "b": bias, "low": np.float16(0), "high": np.float16(layer.high or 0)}
    side = int((layer.rows // layer.frames) ** 0.5)
    shape, y_shape = (images, layer.channels, side, side), (images, layer.outputs, side, side)
    values = [helper.make_tensor_value_info(name, half, shape) for name in ("x", "s")]
    values += [helper.make_tensor_value_info(name, half, y_shape) for name in ("c", "y")]
    graph = helper.make_graph(
        nodes, "layer", values[:1], [values[3]],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
        value_info=values[1:3],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("edgevid", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=8))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_shift_goes_into_the_convolution_after_it(layer):
    square = FusedLayer(**{**vars(layer), "rows": layer.frames * 4})
    graph = graph_of(square)
    before = ir.to_proto(graph)
    layers, report = fuse_shift_convs(graph)
    assert report.matched == 1 and layers == [square]
    shift_conv = next(node for node in graph.graph if node.op_type == "ShiftConv")
    assert [value.name for value in shift_conv.inputs] == ["x", "w", "b"]
    assert shift_conv.attributes["kernel"].as_int() == 0 and "plugin_version" in shift_conv.attributes
    has_bound = square.low is not None
    assert len(list(graph.graph)) == (1 if has_bound else 2)
    again = ir.to_proto(unfused(graph, layers)).graph.node
    assert [node.op_type for node in again] == [node.op_type for node in before.graph.node]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"strides": (2, 2)}, "not 1x1 of stride 1"),
        ({"with_bias": False}, "no bias"),
        ({"reads_twice": True}, "not a convolution"),
    ],
)
def test_other_shifts_stay_by_themselves(options, reason):
    graph = graph_of(FusedLayer(**{**vars(LAYERS[0]), "rows": 12}), **options)
    layers, report = fuse_shift_convs(graph)
    assert not layers and not report.matched
    assert reason in report.refused[0]


def test_channels_that_tensorrt_would_pad_are_refused():
    _, report = fuse_shift_convs(graph_of(FusedLayer(20, 8, 2, 2, 1, -1, 0.0, None, rows=8)))
    assert "20 to 8 channels are not multiples of 8" in report.refused[0]


@pytest.fixture(scope="module", params=["8", "10", *(["real headers"] if REAL else [])])
def plugins(request, tmp_path_factory):
    """All plugins with fake compiled kernels, and the program that simulates TensorRT."""
    import ctypes

    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    folder = tmp_path_factory.mktemp("fused")
    header = fused_plugins._header(LAYERS, [FAKE_KERNEL] * len(LAYERS))
    (folder / fused_plugins.HEADER).write_text(header)
    flags = ("-isystem", REAL, "-Wno-deprecated-declarations")
    if request.param != "real headers":
        flags = (f"-DSIMULATED_TENSORRT={request.param}", "-I", str(SIMULATED))
    sources = ("-I", str(KERNELS), "-I", str(folder), "-DFUSED_PLUGIN")
    cuda.compile_emulated([SIMULATED / "run_plugin.cpp"], folder / "plugins.so", *sources, *flags)
    library = ctypes.CDLL(str(folder / "plugins.so"))
    library.plugin_names.restype = library.run_plugin.restype = ctypes.c_char_p
    return library


def inputs_of(layer: FusedLayer):
    shape = (2 * layer.frames, layer.channels, 3, 5)
    weights = random((layer.outputs, layer.channels, 1, 1), "float16", 1)
    return random(shape, "float16"), weights, random(layer.outputs, "float16", 2)


@pytest.mark.parametrize("kernel", range(len(LAYERS)))
def test_the_plugin_computes_what_the_convolution_does(plugins, kernel):
    layer = LAYERS[kernel]
    x, weights, bias = inputs_of(layer)
    y = np.ones((len(x), layer.outputs, 3, 5), "float16")
    formats = [HWC8, LINEAR, LINEAR, HWC8]
    assert run_plugin(plugins, "ShiftConv", [x, weights, bias], [y], {"kernel": kernel}, formats) is None
    shift = {name: getattr(layer, name) for name in ("frames", "fold", "first", "second")}
    bounds = (-np.inf if layer.low is None else layer.low, layer.high or np.inf)
    assert_close(y, pointwise(temporal_shift(x, **shift), weights, bias, None, *bounds))


def test_what_the_plugin_refuses(plugins):
    x, weights, bias = inputs_of(LAYERS[0])
    y, formats = np.ones((len(x), 24, 3, 5), "float16"), [HWC8, LINEAR, LINEAR, HWC8]

    def refusal(arrays, kernel=0, formats=formats):
        return run_plugin(
            plugins, "ShiftConv", arrays, [y.astype(arrays[0].dtype)], {"kernel": kernel}, formats
        )

    assert refusal([x, weights, bias], kernel=1) == "enqueue fails"
    assert refusal([x, weights, bias], kernel=9) == "enqueue fails"
    assert refusal([x, weights, bias], formats=[LINEAR] * 4) == "the format is not supported"
    singles = [array.astype("float32") for array in (x, weights, bias)]
    assert refusal(singles) == "the format is not supported"


def compiled(layers, gpu):
    pytest.importorskip("triton", reason="Triton is not installed: pip install 'edgevid[triton]'")
    return fused_plugins.compile_layers(layers, gpu)


@pytest.mark.parametrize("target", ["jetson", "jetson-thor", "gpu"])
def test_the_kernels_take_the_arguments_that_the_plugin_gives(target):
    gpu = fused_plugins.compile_target_of(TARGETS[target].gpu)
    for kernel in compiled(LAYERS[:2], gpu):
        assert f".version {gpu.ptx_version / 10}" in kernel["ptx"]
        assert ".target sm_80" in kernel["ptx"]
        assert "mma.sync" in kernel["ptx"]
        # The order of `arguments` in kernels/shift_conv/cuda.cuh.
        parameters = re.findall(
            rf"\.param \.(\w+).* {kernel['kernel']}_param_\d+,?$", kernel["ptx"], re.MULTILINE
        )
        assert parameters == ["u64"] * 4 + ["u32"] * 2 + ["u64"] * 2
        # Triton's own parameters, the last two, are never read.
        assert len(re.findall(rf"ld\.param\.\w+\s.*\[{kernel['kernel']}_param_", kernel["ptx"])) == 6
        assert kernel["shared_bytes"] <= gpu.shared_kib << 10


def test_nvcc_builds_the_plugin_with_its_kernels(tmp_path):
    nvcc = cuda.find_nvcc()
    if nvcc is None:
        pytest.skip("nvcc is not on this machine")
    (tmp_path / fused_plugins.HEADER).write_text(
        fused_plugins._header(LAYERS[:1], compiled(LAYERS[:1], ORIN))
    )
    command = [
        nvcc, "-std=c++14", "-DSIMULATED_TENSORRT=10", f"-I{SIMULATED}", f"-I{tmp_path}", "-arch=sm_87",
        "-Xcompiler", "-fPIC", "-c", KERNELS / "shift_conv" / "tensorrt_plugin.cu",
        "-o", tmp_path / "plugin.o",
    ]  # fmt: skip
    process = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert b".target sm_80" in (tmp_path / "plugin.o").read_bytes()


def test_a_bundle_holds_the_fused_model_or_the_reason(jetson_bundle):
    path, sentences = jetson_bundle.path, jetson_bundle.manifest.not_run
    if not (path / "model_fp16.fused.onnx").exists():
        assert any("left out: Triton is not installed" in sentence for sentence in sentences)
        pytest.skip("Triton is not installed: pip install 'edgevid[triton]'")
    nodes = [node for node in onnx.load(path / "model_fp16.fused.onnx").graph.node if node.domain]
    assert [node.op_type for node in nodes] == ["ShiftConv"] * 10
    header = (path / "plugin" / "shift_conv" / "compiled.h").read_text()
    assert header.count('R"ptx(') == len({node.attribute[0].i for node in nodes}) == 5


def test_without_triton_there_is_a_reason(monkeypatch):
    monkeypatch.setattr(fused_plugins.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(fused_plugins.FusedKernelError, match=r"pip install 'edgevid\[triton\]'"):
        fused_plugins.compile_layers(LAYERS, ORIN)


@pytest.mark.parametrize(
    ("gpu", "ptx", "shared_kib"),
    [
        (Gpu("8.0", ptx="7.0", shared_kib=163), 70, 163),
        (Gpu("8.6"), 80, 99),
        (Gpu("9.0", shared_kib=227, ptx="8.5"), 85, 227),
        (Gpu("13.0", ptx="10.1"), 85, 99),
        (Gpu(minimum_compute_capability="7.5"), 80, 99),
        (Gpu(minimum_compute_capability="9.0"), 80, 99),
    ],
)
def test_every_gpu_from_ampere_on_has_ptx_that_its_driver_takes(gpu, ptx, shared_kib):
    assert fused_plugins.compile_target_of(gpu) == fused_plugins.CompileTarget(ptx, 64, shared_kib)


def test_one_ptx_serves_ampere_and_ada():
    """Why nothing is compiled for SM 86, 87 or 89 of its own."""
    pytest.importorskip("triton", reason="Triton is not installed: pip install 'edgevid[triton]'")
    code = (
        "import re; from edgevid.kernels.shift_conv import triton_compile as t, triton_call as c\n"
        "layer = t.Layer(24, 64, 8, 3, half_bias=True)\n"
        "blocks = c.choose_blocks(6272, 24, 64, 3, c.Gpu(8, 99 << 10))\n"
        "made = {re.sub('[.]target .*', '', t.compile_ahead(layer, sm, blocks, 85).asm['ptx'])"
        " for sm in (80, 86, 87, 89)}\n"
        "assert len(made) == 1"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [
        (Gpu("5.3"), r"need a GPU of compute capability 8.0 or later; this one has 5\.3"),
        (Gpu("7.2"), r"need a GPU of compute capability 8.0 or later; this one has 7\.2"),
        (Gpu("7.5"), r"need a GPU of compute capability 8.0 or later; this one has 7\.5"),
        (Gpu("8.7", ptx="6.5"), r"need PTX 7\.0, but the driver takes 6\.5"),
    ],
)
def test_an_older_gpu_or_driver_is_refused_for_what_it_lacks(gpu, reason):
    with pytest.raises(fused_plugins.FusedKernelError, match=reason):
        fused_plugins.compile_target_of(gpu)


def test_blocks_are_chosen_for_the_multiprocessors_of_the_board():
    boards = ("jetson", "jetson-orin-nano", "jetson-agx-orin", "jetson-thor")
    counts = [fused_plugins.compile_target_of(TARGETS[board].gpu).sm_count for board in boards]
    assert counts == [8, 8, 16, 20]
