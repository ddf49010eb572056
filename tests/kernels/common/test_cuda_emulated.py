"""The CUDA kernels compute what their references do, in a small emulation on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.errors import BackendError
from edgevid.kernels.channel_conv.reference import channel_conv
from edgevid.kernels.common import build
from edgevid.kernels.common.cuda import call
from edgevid.kernels.common.cuda.compile import emulated_library
from edgevid.kernels.temporal_conv.reference import temporal_conv
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step

pytestmark = pytest.mark.slow

FLOATS = {"float32": 1e-5, "float16": 2e-3}
"""Types, and the error bound against float64: half is rounded once, to 11 bits."""
SIZES = ((1, 1), (1, 3), (2, 4), (3, 5), (4, 4), (7, 7), (2, 8))


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    return emulated_library(tmp_path_factory.mktemp("cuda") / "emulated.so")


def random(shape, dtype="float32", seed=0):
    generator = np.random.default_rng(seed)
    if dtype == "int8":
        return generator.integers(-128, 128, shape, dtype=np.int8)
    return generator.standard_normal(shape).astype(dtype)


def empty_like(x, shape=None):
    """An array of values that no result has, in the memory layout of ``x``."""
    shape = shape or x.shape
    marker = 77 if x.dtype == np.int8 else np.nan
    array = np.full([shape[axis] for axis in order(x)], marker, x.dtype)
    return array.transpose(np.argsort(order(x)))


def order(x):
    return (0, 2, 3, 1) if x.ndim == 4 and not x.flags.c_contiguous else tuple(range(x.ndim))


def in_layout(x, channels_last):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if channels_last else x


layouts = st.booleans()
sizes = st.sampled_from(SIZES)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_shift_copies_every_kind_of_element(library, data):
    dtype = data.draw(st.sampled_from(("float32", "float16", "int8")))
    first, second = data.draw(st.sampled_from(((1, -1), (-1, 1), (-1, 0), (1, 0))))
    frames, clips, channels = (
        data.draw(st.integers(1, 4)),
        data.draw(st.integers(1, 2)),
        data.draw(st.integers(1, 40)),
    )
    fold = data.draw(st.integers(0, channels // (2 if second else 1)))
    x = random((clips * frames, channels, *data.draw(sizes)), dtype)
    x = in_layout(x, data.draw(layouts))
    y = empty_like(x)
    options = {"frames": frames, "fold": fold, "first": first, "second": second}
    call.temporal_shift(library, x, y, **options)
    np.testing.assert_array_equal(y, temporal_shift(x, **options))


@pytest.mark.parametrize("lanes", [4, 32])
@pytest.mark.parametrize("fold", [4, 5, 16])
def test_the_shift_of_channels_in_groups_of_lanes(library, lanes, fold):
    """TensorRT's CHW4 and CHW32, the layouts of int8 convolutions."""
    x = random((6, 64, 3, 5), "int8")
    groups = np.ascontiguousarray(x.reshape(6, -1, lanes, 3, 5).transpose(0, 1, 3, 4, 2))
    y = empty_like(groups)
    options = {"frames": 3, "fold": fold, "first": 1, "second": -1}
    call.temporal_shift(library, groups, y, **options, lanes=lanes, shape=x.shape)
    result = y.transpose(0, 1, 4, 2, 3).reshape(x.shape)
    np.testing.assert_array_equal(result, temporal_shift(x, **options))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_step_of_the_shift_swaps_its_state(library, data):
    dtype = data.draw(st.sampled_from(("float32", "float16", "int8")))
    images, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 40))
    fold, channels_last = data.draw(st.integers(1, channels)), data.draw(layouts)
    size = data.draw(sizes)
    x = in_layout(random((images, channels, *size), dtype), channels_last)
    state = in_layout(
        random((images, fold, *size), dtype, seed=1), channels_last and call._is_channels_last(x)
    )
    y, next_state = empty_like(x), empty_like(state)
    expected = temporal_shift_step(x, state)
    call.temporal_shift_step(library, x, state, y, next_state)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(next_state, expected[1])
    call.temporal_shift_step(library, x, state, y, state)  # a state may be replaced in place
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(state, expected[1])


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_the_temporal_convolution_equals_its_reference(library, data):
    dtype = data.draw(st.sampled_from(tuple(FLOATS)))
    frames, clips, channels = (
        data.draw(st.integers(1, 5)),
        data.draw(st.integers(1, 2)),
        data.draw(st.integers(1, 24)),
    )
    taps = data.draw(st.sampled_from((1, 3, 3, 5, 7, 9)))
    past = data.draw(st.sampled_from((taps // 2, taps - 1)))
    size = data.draw(sizes)
    x = in_layout(random((clips * frames, channels, *size), dtype), data.draw(layouts))
    weights = random((channels, taps), dtype, seed=1)
    bias = data.draw(st.sampled_from((None, random((channels,), dtype, seed=2))))
    is_stream = past == taps - 1 and past > 0 and x.flags.c_contiguous and data.draw(st.booleans())
    state = random((clips, past, channels, *size), dtype, seed=3) if is_stream else None
    y, next_state = empty_like(x), np.full_like(state, np.nan) if is_stream else None
    call.temporal_conv(
        library, x, weights, bias, y, frames=frames, past=past, state=state, next_state=next_state
    )
    doubles = [None if array is None else array.astype(np.float64) for array in (x, weights, bias)]
    expected, expected_state = temporal_conv(*doubles, frames=frames, past=past, state=state)
    assert_close(y, expected)
    if is_stream:
        np.testing.assert_array_equal(next_state, expected_state)


def test_a_clip_in_two_parts_gives_the_same_bits(library):
    x, weights = random((8, 16, 4, 4), "float16"), random((16, 3), "float16", seed=1)
    expected, parts, state = empty_like(x), empty_like(x), np.zeros((1, 2, 16, 4, 4), np.float16)
    call.temporal_conv(library, x, weights, None, expected, frames=8, past=2)
    for start, end in ((0, 1), (1, 2), (2, 8)):  # parts shorter and longer than the filter
        call.temporal_conv(
            library, x[start:end], weights, None, parts[start:end],
            frames=end - start, past=2, state=state, next_state=state,
        )  # fmt: skip
    np.testing.assert_array_equal(parts, expected)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_the_channel_convolution_equals_its_reference(library, data):
    dtype = data.draw(st.sampled_from(tuple(FLOATS)))
    taps, stride = data.draw(st.integers(1, 30)), data.draw(st.sampled_from((1, 1, 2, 2, 3, 7)))
    pads = data.draw(st.integers(0, taps + 1)), data.draw(st.integers(0, taps + 1))
    channels = data.draw(st.integers(max(1, taps - sum(pads)), 60))
    filters, batch = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    x = random((batch, channels, *data.draw(sizes)), dtype)
    weights = random((filters, taps), dtype, seed=1)
    bias = data.draw(st.sampled_from((None, random((filters,), dtype, seed=2))))
    outputs = (channels + sum(pads) - taps) // stride + 1
    y = empty_like(x, (batch, filters * outputs, *x.shape[2:]))
    call.channel_conv(library, x, weights, bias, y, stride=stride, pads=pads)
    doubles = [None if array is None else array.astype(np.float64) for array in (x, weights, bias)]
    assert_close(y, channel_conv(*doubles, stride=stride, pads=pads))


def assert_close(y, expected):
    tolerance = FLOATS[str(y.dtype)]
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * max(1.0, np.abs(expected).max()))


def test_the_comparison_fails_for_another_direction_or_weight(library):
    x, y = random((4, 8, 2, 2)), random((4, 8, 2, 2), seed=9)
    call.temporal_shift(library, x, y, frames=4, fold=2, first=-1, second=1)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(y, temporal_shift(x, frames=4, fold=2, first=1, second=-1))
    weights = random((8, 3), seed=1)
    call.temporal_conv(library, x, weights, None, y, frames=4, past=1)
    with pytest.raises(AssertionError):
        assert_close(y, temporal_conv(x, weights * 1.001, frames=4, past=1)[0])


def test_arguments_that_make_no_sense_are_refused(library):
    x = random((4, 8, 2, 2))
    with pytest.raises(BackendError, match="check its shapes"):
        call.temporal_shift(library, x, empty_like(x), frames=3, fold=2, first=1, second=-1)
    with pytest.raises(BackendError, match="check its shapes"):
        call.temporal_shift(library, x, empty_like(x), frames=4, fold=5, first=1, second=-1)


def test_the_emulated_half_is_the_half_of_numpy(library):
    """A filter of one tap with weight 1 converts every half to float and back."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = bits[np.isfinite(bits.view(np.float16))].view(np.float16)
    x = np.resize(x, (1, 1, len(x) // 16, 16))
    y = empty_like(x)
    call.temporal_conv(library, x, np.ones((1, 1), np.float16), None, y, frames=1, past=0)
    np.testing.assert_array_equal(y, x)
    third = np.full((1, 1), 1 / 3, np.float16)
    call.temporal_conv(library, x, third, None, y, frames=1, past=0)
    np.testing.assert_array_equal(y, (x.astype(np.float32) * third.astype(np.float32)).astype(np.float16))
