"""Shared by tests of kernels: compiling a kernel without ONNX Runtime, arrays, layouts and sanitizers."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import strategies as st

from edgevid.host.processor import describe_cpu
from edgevid.kernels.common.standalone import compile

ISAS = ("avx512", "avx2", "generic")
TOLERANCE = 1e-5
NONE, RELU, RELU6 = (-np.inf, np.inf), (0.0, np.inf), (0.0, 6.0)
"""The bounds of activations."""


def skip_unless_usable(isa: str) -> None:
    if reason := compile.why_not(isa, describe_cpu()[0]["instruction_sets"]):
        pytest.skip(reason)


def kernel_fixture(op: str):
    """A fixture that compiles the kernel ``op`` for each instruction set in turn."""

    @pytest.fixture(scope="session", params=ISAS)
    def kernel(request, run_folder):
        skip_unless_usable(request.param)
        return compile.kernel(op, request.param, run_folder / op)

    return kernel


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def empty(shape, offset=0):
    """An array of NaN, ``offset`` floats after an aligned address."""
    return np.full(offset + int(np.prod(shape)), np.nan, np.float32)[offset:].reshape(shape)


def at_offset(array, offset):
    copy = empty(array.shape, offset)
    copy[...] = array
    return copy


def blocked(x, block):
    """(..., channels, H, W) to (..., channels/block, H, W, block); unchanged for a block of 1."""
    if block == 1:
        return x
    split = x.reshape(*x.shape[:-3], x.shape[-3] // block, block, *x.shape[-2:])
    return np.ascontiguousarray(np.moveaxis(split, -3, -1))


def plain(x, block):
    if block == 1:
        return x
    channels_first = np.moveaxis(x, -1, -3)
    return channels_first.reshape(*channels_first.shape[:-4], x.shape[-4] * block, *x.shape[-3:-1])


def error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def blocks_of(isa: str) -> tuple[int, ...]:
    """The block sizes of kernels for ``isa``."""
    return (16,) if isa == "avx512" else (8, 16)


def draw_block(data, use_isa, *more: int) -> int:
    """For hypothesis: a block size of an instruction set, which is then forced, or one of ``more``."""
    isa = data.draw(st.sampled_from(ISAS))
    use_isa(isa)
    return data.draw(st.sampled_from((*more, *blocks_of(isa))))


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30))


def assert_sanitizers_find_nothing(op: str, program_text: str, isa: str, folder) -> None:
    """Build ``program_text`` with the sanitizers and run it; its ``%(header)s`` is the kernel's header."""
    skip_unless_usable(isa)
    header = compile.KERNELS / op / f"{op}.h"
    source, program = folder / "main.cpp", folder / "main"
    source.write_text(program_text % {"header": header})
    sanitize = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    command = compile.command([f"{op}/cpu.cpp", source], isa, program, *sanitize)
    compilation = subprocess.run(command, capture_output=True, text=True, check=False)
    if compilation.returncode:
        assert "asan" in compilation.stderr, compilation.stderr
        pytest.skip("the compiler's sanitizer libraries are not installed")
    execution = subprocess.run([program], capture_output=True, text=True, check=False)
    assert execution.returncode == 0, execution.stderr
