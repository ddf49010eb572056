"""The CUDA kernels on an NVIDIA GPU compute what their references do, on layers of the zoo and odd shapes."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.kernels.channel_conv.reference import channel_conv
from edgevid.kernels.common.cuda import call
from edgevid.kernels.common.cuda.compile import find_nvcc, shared_library
from edgevid.kernels.temporal_conv.reference import temporal_conv
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'edgevid[export]'")
if not torch.cuda.is_available():
    pytest.skip("there is no NVIDIA GPU that PyTorch can use", allow_module_level=True)

TOLERANCES = {"float32": 1e-5, "float16": 2e-3}
SHAPES = [(8, 256, 56, 56), (8, 24, 56, 56), (16, 20, 7, 7), (4, 2048, 7, 7), (3, 5, 1, 1), (1, 64, 3, 5)]
"""(N*T, C, H, W) of one clip."""

layouts = pytest.mark.parametrize("channels_last", [False, True])
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
floats = pytest.mark.parametrize("dtype", TOLERANCES)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    nvcc = find_nvcc()
    if nvcc is None:
        pytest.skip("nvcc is not on this machine: install CUDA's compiler")
    return shared_library(nvcc, tmp_path_factory.mktemp("cuda") / "kernels.so")


def random(shape, dtype, seed=0):
    generator = np.random.default_rng(seed)
    if dtype == "int8":
        return generator.integers(-128, 128, shape, dtype=np.int8)
    return generator.standard_normal(shape).astype(dtype)


def on_gpu(array, channels_last=False):
    tensor = torch.from_numpy(array).cuda()
    return tensor.to(memory_format=torch.channels_last) if channels_last else tensor


def unwritten_like(tensor):
    return torch.full_like(tensor, 77 if tensor.dtype == torch.int8 else torch.nan)


def unwritten(shape, tensor):
    return torch.full(shape, torch.nan, dtype=tensor.dtype, device="cuda")


def on_cpu(tensor):
    torch.cuda.synchronize()
    return tensor.cpu().numpy()


def assert_close(y, expected):
    y = on_cpu(y)
    error = np.abs(y.astype(np.float64) - expected).max() / max(np.abs(expected).max(), 1)
    assert error <= TOLERANCES[str(y.dtype)]


@shapes
@layouts
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("directions", [(1, -1), (-1, 1), (-1, 0)])
def test_the_shift(library, shape, channels_last, dtype, directions):
    x = random(shape, dtype)
    tensor = on_gpu(x, channels_last)
    options = {
        "frames": shape[0],
        "fold": shape[1] // 8 or 1,
        "first": directions[0],
        "second": directions[1],
    }
    y = unwritten_like(tensor)
    call.temporal_shift(library, tensor, y, **options)
    np.testing.assert_array_equal(on_cpu(y), temporal_shift(x, **options))


@shapes
@layouts
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_step_of_the_shift(library, shape, channels_last, dtype):
    fold = shape[1] // 8 or 1
    x, state = random(shape, dtype), random((shape[0], fold, *shape[2:]), dtype, 1)
    one_layout = channels_last and call._is_channels_last(on_gpu(x, True))
    tensors = on_gpu(x, one_layout), on_gpu(state, one_layout)
    y, next_state = (unwritten_like(tensor) for tensor in tensors)
    call.temporal_shift_step(library, *tensors, y, next_state)
    expected, expected_state = temporal_shift_step(x, state)
    np.testing.assert_array_equal(on_cpu(y), expected)
    np.testing.assert_array_equal(on_cpu(next_state), expected_state)


@shapes
@layouts
@floats
@pytest.mark.parametrize("taps, past", [(3, 1), (3, 2), (5, 2), (9, 4)])
def test_the_temporal_convolution(library, shape, channels_last, dtype, taps, past):
    x, weights, bias = random(shape, dtype), random((shape[1], taps), dtype, 1), random(shape[1], dtype, 2)
    tensor = on_gpu(x, channels_last)
    y = unwritten_like(tensor)
    call.temporal_conv(library, tensor, on_gpu(weights), on_gpu(bias), y, frames=shape[0], past=past)
    doubles = (array.astype(np.float64) for array in (x, weights, bias))
    assert_close(y, temporal_conv(*doubles, frames=shape[0], past=past)[0])


@floats
def test_a_streamed_temporal_convolution(library, dtype):
    x, weights = random((1, 64, 14, 14), dtype), random((64, 3), dtype, 1)
    state = random((1, 2, 64, 14, 14), dtype, 2)
    tensor, state_tensor = on_gpu(x), on_gpu(state)
    y, next_state = unwritten_like(tensor), unwritten_like(state_tensor)
    call.temporal_conv(
        library, tensor, on_gpu(weights), None, y, frames=1, past=2, state=state_tensor, next_state=next_state
    )
    doubles = (x.astype(np.float64), weights.astype(np.float64))
    expected, expected_state = temporal_conv(*doubles, None, frames=1, past=2, state=state)
    assert_close(y, expected)
    np.testing.assert_array_equal(on_cpu(next_state), expected_state)


@floats
@pytest.mark.parametrize(
    "shape, filters, taps, stride, pads",
    [
        ((1, 512, 14, 14), 2, 8, 2, (3, 3)),
        ((2, 1024, 1, 1), 1, 25, 1, (0, 0)),
        ((1, 60, 3, 5), 3, 7, 3, (2, 4)),
    ],
)
def test_the_channel_convolution(library, dtype, shape, filters, taps, stride, pads):
    x, weights, bias = random(shape, dtype), random((filters, taps), dtype, 1), random(filters, dtype, 2)
    tensor = on_gpu(x)
    outputs = (shape[1] + sum(pads) - taps) // stride + 1
    y = unwritten((shape[0], filters * outputs, *shape[2:]), tensor)
    call.channel_conv(library, tensor, on_gpu(weights), on_gpu(bias), y, stride=stride, pads=pads)
    doubles = (array.astype(np.float64) for array in (x, weights, bias))
    assert_close(y, channel_conv(*doubles, stride=stride, pads=pads))
