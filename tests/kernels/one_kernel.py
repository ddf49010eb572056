"""What the tests of kernels share: compiling one without ONNX Runtime, arrays, layouts and sanitizers."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from hypothesis import strategies as st

from edgevid.host.processor import describe_cpu
from edgevid.kernels.standalone import compile

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
    def kernel(request, tmp_path_factory):
        skip_unless_usable(request.param)
        return compile.kernel(op, request.param, tmp_path_factory.mktemp(op))

    return kernel


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def empty(shape, offset=0):
    """NaN everywhere, ``offset`` floats away from where the allocator aligns."""
    return np.full(offset + int(np.prod(shape)), np.nan, np.float32)[offset:].reshape(shape)


def at_offset(array, offset):
    moved = empty(array.shape, offset)
    moved[...] = array
    return moved


def blocked(x, block):
    """(..., channels, H, W) to (..., channels/block, H, W, block), or as it is for a block of 1."""
    if block == 1:
        return x
    split = x.reshape(*x.shape[:-3], x.shape[-3] // block, block, *x.shape[-2:])
    return np.ascontiguousarray(np.moveaxis(split, -3, -1))


def plain(x, block):
    if block == 1:
        return x
    moved = np.moveaxis(x, -1, -3)
    return moved.reshape(*moved.shape[:-4], x.shape[-4] * block, *x.shape[-3:-1])


def error(actual, expected):
    return np.abs(actual - expected).max() / np.abs(expected).max()


def blocks_of(isa: str) -> tuple[int, ...]:
    """The sizes of blocks that kernels for ``isa`` take."""
    return (16,) if isa == "avx512" else (8, 16)


def draw_block(data, use_isa, *more: int) -> int:
    """For hypothesis: a size of blocks, of an instruction set that is then forced, or one of ``more``."""
    isa = data.draw(st.sampled_from(ISAS))
    use_isa(isa)
    return data.draw(st.sampled_from((*more, *blocks_of(isa))))


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))


def assert_sanitizers_find_nothing(op: str, program_text: str, isa: str, folder) -> None:
    """Build ``program_text`` with the sanitizers and run it; its ``%(header)s`` is the kernel's header."""
    skip_unless_usable(isa)
    header = compile.KERNELS / op / f"{op}.h"
    source, program = folder / "main.cpp", folder / "main"
    source.write_text(program_text % {"header": header})
    sanitize = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    command = compile.command([f"{op}/cpu.cpp", source], isa, program, *sanitize)
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        assert "asan" in made.stderr, made.stderr
        pytest.skip("the compiler's sanitizer libraries are not installed")
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
