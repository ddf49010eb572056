"""The fused shift and convolution in Triton: correct (on a GPU, or else in Triton's interpreter), and
compiled ahead of time for the GPUs of the targets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.errors import BackendError
from edgevid.kernels.shift_conv.reference import pointwise
from edgevid.kernels.shift_conv.triton_call import Blocks, Gpu, choose_blocks, shift_conv
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'edgevid[export]'")
pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
TOLERANCE = 2e-3
"""Half precision is rounded once, to 11 bits; sums are float32."""

small_blocks = st.builds(
    Blocks,
    rows=st.sampled_from((16, 32)),
    outputs=st.sampled_from((16, 32)),
    channels=st.sampled_from((16, 32, 64)),
    warps=st.just(4),
    stages=st.just(2),
)


def random(shape, seed=0, dtype="float16"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def channels_last(x):
    return None if x is None else torch.from_numpy(x).to(DEVICE).to(memory_format=torch.channels_last)


def unwritten(shape):
    tensor = torch.full(shape, torch.nan, dtype=torch.half, device=DEVICE)
    return tensor.to(memory_format=torch.channels_last)


def assert_close(y, expected):
    error = np.abs(y.float().cpu().numpy() - expected).max() / max(np.abs(expected).max(), 1)
    assert error <= TOLERANCE


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_shape_and_fold(data):
    clips, frames = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 4))
    channels, outputs = 8 * data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    first, second = data.draw(st.sampled_from(((1, -1), (-1, 1), (-1, 0), (1, 0))))
    fold = data.draw(st.integers(0, channels // (2 if second else 1)))
    size = data.draw(st.sampled_from(((1, 1), (2, 3), (5, 4))))
    has_bias, has_residual = data.draw(st.booleans()), data.draw(st.booleans())
    low, high = data.draw(st.sampled_from(((None, None), (0.0, None), (0.0, 6.0))))
    x, weights = random((clips * frames, channels, *size)), random((outputs, channels, 1, 1), 1)
    bias = random(outputs, 2, "float32") if has_bias else None
    residual = random((clips * frames, outputs, *size), 3) if has_residual else None
    y = unwritten((clips * frames, outputs, *size))
    shift = {"frames": frames, "fold": fold, "first": first, "second": second}
    shift_conv(
        channels_last(x), torch.from_numpy(weights).to(DEVICE),
        None if bias is None else torch.from_numpy(bias).to(DEVICE), channels_last(residual),
        **shift, low=low, high=high, y=y, blocks=data.draw(small_blocks),
    )  # fmt: skip
    bounds = (-np.inf if low is None else low, np.inf if high is None else high)
    assert_close(y, pointwise(temporal_shift(x, **shift), weights, bias, residual, *bounds))


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_frame_of_a_stream(data):
    images, channels = data.draw(st.integers(1, 2)), 8 * data.draw(st.integers(1, 12))
    outputs, fold = data.draw(st.integers(1, 40)), data.draw(st.integers(1, channels))
    size = data.draw(st.sampled_from(((1, 1), (2, 3), (5, 4))))
    x, weights = random((images, channels, *size)), random((outputs, channels, 1, 1), 1)
    state, next_state = random((images, fold, *size), 2), unwritten((images, fold, *size))
    y = shift_conv(
        channels_last(x), torch.from_numpy(weights).to(DEVICE), frames=1, fold=fold, first=-1, second=0,
        state=channels_last(state), next_state=next_state, blocks=data.draw(small_blocks),
    )  # fmt: skip
    x_shifted, expected_state = temporal_shift_step(x, state)
    assert_close(y, pointwise(x_shifted, weights))
    np.testing.assert_array_equal(next_state.cpu().numpy(), expected_state)


@pytest.mark.parametrize(
    "channels, outputs, side", [(256, 64, 4), (24, 144, 3), (2048, 512, 1), (160, 960, 1)]
)
def test_the_blocks_that_are_chosen(channels, outputs, side):
    x, weights = random((8, channels, side, side)), random((outputs, channels), 1) / channels**0.5
    shift = {"frames": 8, "fold": channels // 8, "first": 1, "second": -1}
    y = shift_conv(channels_last(x), torch.from_numpy(weights.astype("float16")).to(DEVICE), **shift, low=0.0)
    weights = weights.astype("float16")[:, :, None, None]
    assert_close(y, pointwise(temporal_shift(x, **shift), weights, low=0))


def test_blocks_suit_the_gpu():
    small, large = (choose_blocks(1568, 1024, 512, 128, Gpu(count, 227 << 10)) for count in (8, 132))
    assert small.rows * small.outputs > large.rows * large.outputs
    with_less = choose_blocks(1568, 1024, 512, 128, Gpu(132, 99 << 10))
    assert 2 * with_less.channels * (with_less.rows + with_less.outputs) * with_less.stages <= 99 << 10


def test_what_does_not_fit_is_refused():
    x, weights = channels_last(random((4, 16, 2, 2))), torch.from_numpy(random((8, 16))).to(DEVICE)
    with pytest.raises(BackendError, match="fold of 9"):
        shift_conv(x, weights, frames=4, fold=9)
    with pytest.raises(BackendError, match="channels-last"):
        shift_conv(x.contiguous(), weights, frames=4, fold=2)
    with pytest.raises(BackendError, match="weights of 16 channels"):
        shift_conv(x, weights[:, :8], frames=4, fold=2)
    with pytest.raises(BackendError, match="next state"):
        shift_conv(x, weights, frames=1, fold=2, first=-1, second=0, state=x[:, :2].contiguous(
            memory_format=torch.channels_last))  # fmt: skip


def compiled(folder, *options):
    """The PTX and launch parameters of a layer, compiled in a process without the interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(folder / "cache")
    command = [sys.executable, "-m", "edgevid.kernels.shift_conv.triton_compile", *map(str, options)]
    process = subprocess.run(
        [*command, "--output", folder], env=environment, capture_output=True, text=True, check=True
    )
    base = process.stdout.splitlines()[-1]
    with open(f"{base}.cubin", "rb") as cubin:
        assert cubin.read(4) == b"\x7fELF"
    with open(f"{base}.ptx") as ptx, open(f"{base}.json") as launch:
        return ptx.read(), json.load(launch)


LAYER = ("--channels", 256, "--outputs", 64)
ORIN = ("--sm", 87, "--sm-count", 8, "--shared-kib", 163)


@pytest.mark.parametrize("sm", [80, 87, 90, 120])
def test_it_is_compiled_for_tensor_cores_without_a_gpu(sm, tmp_path):
    ptx, launch = compiled(tmp_path, *LAYER, *ORIN, "--sm", sm, "--shared-kib", 99)
    assert f".target sm_{sm}" in ptx
    assert re.search(r"wgmma\.mma_async|mma\.sync\.aligned\.m16n8k16", ptx)
    assert launch["kernel"] in ptx and launch["shared_bytes"] <= 99 << 10


def test_drivers_of_jetpack_6_take_the_ptx(tmp_path):
    ptx, _ = compiled(tmp_path, *LAYER, *ORIN, "--ptx", 85)
    assert ".version 8.5" in ptx


def test_a_shift_adds_no_access_to_memory(tmp_path):
    def accesses(fold):
        layer = ("--channels", 512, "--outputs", 128, "--fold", fold)
        ptx, _ = compiled(tmp_path / str(fold), *layer, *ORIN)
        return {word: len(re.findall(word, ptx)) for word in ("cp.async.cg", "ld.global", "st.global")}

    without = accesses(0)
    assert accesses(64) == without
    assert without["cp.async.cg"] > 0


@pytest.mark.parametrize("options", [("--stream",), ("--causal",), ("--channels", 24, "--outputs", 144)])
def test_other_forms_compile_too(options, tmp_path):
    ptx, _ = compiled(tmp_path, "--channels", 64, "--outputs", 384, *options, *ORIN)
    assert "mma.sync" in ptx
