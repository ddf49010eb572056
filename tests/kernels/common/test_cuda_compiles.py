"""The CUDA kernels compile for every GPU that the targets name, from the Jetson Nano to Blackwell."""

from __future__ import annotations

import re

import pytest

from edgevid.errors import BackendError
from edgevid.kernels.common.cuda import compile as cuda

pytestmark = pytest.mark.slow

KERNELS = ("shift_frames", "shift_step", "filter_frames", "filter_frames_long", "filter_channels")


@pytest.fixture(scope="module")
def nvcc():
    path = cuda.find_nvcc()
    if path is None:
        pytest.skip("nvcc is not on this machine")
    return path


def test_nvcc_makes_code_for_each_architecture(nvcc, tmp_path):
    expected = cuda.supported_architectures(nvcc)
    assert expected, "this nvcc supports none of the architectures"
    binary = cuda.fat_binary(nvcc, cuda.LIBRARY, tmp_path / "kernels.fatbin", expected).read_bytes()
    assert {int(sm) for sm in re.findall(rb"sm_(\d+)", binary)} >= set(expected)
    for kernel in KERNELS:
        assert kernel.encode() in binary


def test_nvcc_reports_its_errors(nvcc, tmp_path):
    source = tmp_path / "wrong.cu"
    source.write_text("__global__ void kernel(float* x) { x[0] = missing; }")
    with pytest.raises(BackendError, match="missing"):
        cuda.fat_binary(nvcc, source, tmp_path / "wrong.fatbin", [90])


@pytest.mark.parametrize("architecture", [53, 62, 72, 87, 90])
def test_nvrtc_makes_ptx_that_older_drivers_take(architecture):
    if not cuda.has_nvrtc():
        pytest.skip(f"NVRTC is not installed: pip install {cuda.NVRTC_PACKAGE}==12.6.85")
    ptx = cuda.nvrtc_ptx(architecture)
    version = tuple(map(int, re.search(r"\.version (\d+)\.(\d+)", ptx).groups()))
    assert version <= (8, 5)
    assert f".target sm_{architecture}" in ptx
    for kernel in KERNELS:
        assert kernel in ptx
    # Copies and filters access 16 bytes at a time.
    assert "ld.global.nc.v4.u32" in ptx or "ld.global.v4.u32" in ptx
    assert "st.global.v4.u32" in ptx


def test_nvrtc_reports_its_errors(tmp_path):
    if not cuda.has_nvrtc():
        pytest.skip(f"NVRTC is not installed: pip install {cuda.NVRTC_PACKAGE}==12.6.85")
    source = tmp_path / "wrong.cu"
    source.write_text("__global__ void kernel(float* x) { x[0] = missing; }")
    with pytest.raises(BackendError, match="missing"):
        cuda.nvrtc_ptx(87, source)
