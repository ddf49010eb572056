"""Libraries for boards, phones and GPUs are of the right kind, as far as can be checked without them."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest

from edgevid.backends.tvm import cuda as tvm_gpu
from edgevid.backends.tvm import runner as tvm_run
from edgevid.backends.tvm import toolchain
from edgevid.errors import BackendError, ExportError
from edgevid.specs import Target
from edgevid.targets import TARGETS

pytestmark = pytest.mark.slow

pytest.importorskip("tvm", reason="TVM is not installed: pip install 'edgevid[tvm]'")

NETWORK = """
    <ir_version: 9, opset_import: ["" : 18]>
    network (float[2, 3, 16, 16] x) => (float[2, 8, 16, 16] y) <float[8, 3, 3, 3] w = {VALUES}> {
        sums = Conv <pads = [1, 1, 1, 1]> (x, w)
        y = Relu (sums)
    }
"""
AARCH64 = 183
"""The machine number of arm64 in an ELF header."""


@pytest.fixture
def graph() -> ir.Model:
    values = ", ".join(f"{index / 100:.2f}" for index in range(8 * 3 * 9))
    model = onnx.parser.parse_model(NETWORK.replace("VALUES", values))
    return ir.from_proto(onnx.shape_inference.infer_shapes(model))


def library(graph: ir.Model, device: toolchain.Device, folder) -> bytes:
    from edgevid.backends.tvm.build import compile_module, import_graph, write_library

    if not any(map(shutil.which, device.compilers)):
        pytest.skip(f"no compiler to link for {device.architecture} with: apt install {device.package}")
    module, _, _ = import_graph(graph, device.machine)
    write_library(compile_module(module, device), device, folder / "model.so")
    return (folder / "model.so").read_bytes()


@pytest.mark.skipif(toolchain.this_architecture() != "x86_64", reason="these are levels of x86-64")
@pytest.mark.parametrize("isa", toolchain.LEVELS)
def test_every_level_of_a_pc_gives_the_same(graph, tmp_path, isa):
    if flags := toolchain.missing_flags(isa):
        pytest.skip(f"this processor has no {', '.join(flags)}")
    library(graph.clone(), toolchain._x86(isa), tmp_path)
    runner = tvm_run.TvmRunner(tmp_path / "model.so", ["x"], ["y"], threads=1)
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 16), dtype=np.float32)
    (expected,) = onnx.reference.ReferenceEvaluator(ir.to_proto(graph)).run(None, {"x": x})
    np.testing.assert_allclose(runner.run({"x": x})["y"], expected, rtol=1e-4, atol=1e-4)


def test_a_board_gets_an_arm64_library_for_linux(graph, tmp_path):
    content = library(graph, toolchain.ARM64_LINUX, tmp_path)
    assert int.from_bytes(content[18:20], "little") == AARCH64
    assert b"\0libc.so\0" not in content


def test_a_phone_gets_a_library_that_needs_nothing_of_glibc(graph, tmp_path):
    content = library(graph, toolchain.ARM64_ANDROID, tmp_path)
    assert int.from_bytes(content[18:20], "little") == AARCH64
    assert b"\0libc.so\0" in content
    assert b"\0libm.so\0" in content
    assert b"GLIBC" not in content


@pytest.mark.parametrize(
    ("target", "architecture"),
    [("raspberry-pi-5", "aarch64"), ("mobile", "aarch64-android"), ("jetson", "aarch64")],
)
def test_every_board_has_its_processor(target, architecture):
    assert toolchain.device_for(TARGETS[target]).architecture == architecture


def test_a_processor_without_settings_is_refused_in_one_line():
    target = Target("board", "A board", "riscv64", ("tvm",))
    with pytest.raises(ExportError, match=r"no settings for riscv64.*use --backend onnxruntime"):
        toolchain.device_for(target)


@pytest.mark.parametrize(
    ("target", "architecture"),
    [("jetson", "sm_87"), ("jetson-thor", "sm_110"), ("gpu", "sm_75"), ("cpu", None)],
)
def test_the_gpu_of_a_target_is_known(target, architecture):
    assert tvm_gpu.architecture_of(TARGETS[target]) == architecture


def test_device_code_for_a_jetson_compiles(graph):
    executable = tvm_gpu.compile_for_gpu(tvm_gpu.import_for_gpu(graph), "sm_87", toolchain.ARM64_LINUX)
    (source,) = tvm_gpu.cuda_sources(executable)
    assert "__global__" in source
    size = tvm_gpu.compile_sources(executable, "sm_87", toolchain.ARM64_LINUX)
    if size is None:
        pytest.skip("no nvcc with sm_87 is installed: pip install nvidia-cuda-nvcc")
    assert size > 0


def test_device_code_that_nvcc_rejects_is_an_error(graph, monkeypatch):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc is installed: pip install nvidia-cuda-nvcc")
    monkeypatch.setattr(tvm_gpu, "cuda_sources", lambda executable: ["__global__ void broken( {"])
    with pytest.raises(BackendError, match="nvcc rejects TVM's code for sm_87") as error:
        tvm_gpu.compile_sources(None, "sm_87", toolchain.ARM64_LINUX)
    assert "\n" not in str(error.value)


def test_an_nvcc_without_the_gpu_is_not_called(monkeypatch):
    monkeypatch.setattr(tvm_gpu, "cuda_sources", lambda executable: pytest.fail("it was called"))
    assert tvm_gpu.compile_sources(None, "sm_1", toolchain.ARM64_LINUX) is None
