"""TemporalConv computes what its reference does, on every instruction set that this machine has."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_kernel import (
    TOLERANCE,
    assert_sanitizers_find_nothing,
    at_offset,
    blocked,
    empty,
    error,
    kernel_fixture,
    plain,
    random,
)

from edgevid.kernels.common.standalone.compile import run
from edgevid.kernels.temporal_conv.call import conv_of
from edgevid.kernels.temporal_conv.reference import temporal_conv

pytestmark = pytest.mark.slow

RELU = {"low": 0.0, "high": np.inf}


kernel = kernel_fixture("temporal_conv")


def compute(kernel, x, weights, bias=None, *, frames, past, state=None, block=1, offset=0, cuts=(), **clip):
    """``y`` and the next state by the kernel, from arrays in plain layout and back to it."""
    inputs = [None if a is None else at_offset(blocked(a, block), offset) for a in (x, state)]
    y = empty(inputs[0].shape, offset)
    next_state = empty(blocked(np.empty((len(x) // frames, past, *x.shape[1:]), np.float32), block).shape)
    conv = conv_of(
        inputs[0],
        weights,
        y,
        frames=frames,
        past=past,
        bias=bias,
        state=inputs[1],
        next_state=next_state,
        **clip,
    )
    assert kernel.why_not(ctypes.byref(conv)) is None
    run(kernel, conv, cuts)
    return plain(y, block), plain(next_state, block)


@st.composite
def cases(draw):
    taps = draw(st.sampled_from((1, 3, 5, 7, 9)))
    past, frames, batch = draw(st.integers(0, taps - 1)), draw(st.integers(1, 9)), draw(st.integers(1, 3))
    block = draw(st.sampled_from((1, 8, 16)))
    channels = draw(st.integers(1, 5)) if block == 1 else 16 * draw(st.integers(1, 2))
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    options = {"frames": frames, "past": past}
    if draw(st.booleans()):
        options["state"] = random((batch, past, channels, *size), seed=3)
    if draw(st.booleans()):
        options |= RELU
    bias = random(channels, seed=2) if draw(st.booleans()) else None
    x, weights = random((batch * frames, channels, *size)), random((channels, taps), seed=1)
    return (x, weights, bias), options, {"block": block, "offset": draw(st.integers(0, 3))}


@given(case=cases())
@settings(max_examples=150, deadline=None)
def test_equals_the_reference(kernel, case):
    arrays, options, layout = case
    y, next_state = compute(kernel, *arrays, **options, **layout)
    doubles = [None if a is None else a.astype(np.float64) for a in arrays]
    expected, expected_state = temporal_conv(*doubles, **options)
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_array_equal(next_state, expected_state)


@given(case=cases(), cuts=st.lists(st.floats(0, 1), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_cut_of_the_work_gives_the_same_bits(kernel, case, cuts):
    arrays, options, layout = case
    uncut, cut = (compute(kernel, *arrays, **options, **layout, cuts=c) for c in ((), cuts))
    np.testing.assert_array_equal(cut[0], uncut[0])
    np.testing.assert_array_equal(cut[1], uncut[1])


STM = [
    (channels, side, taps, block)
    for channels, side in ((64, 56), (128, 28), (256, 14), (512, 7))
    for taps in (3, 5)
    for block in (1, 8, 16)
]
# Large enough for non-temporal stores.
ACTION_NET = [(256, 56, 3, 1), (256, 56, 3, 16)]


@pytest.mark.parametrize(("channels", "side", "taps", "block"), STM + ACTION_NET)
def test_shapes_of_the_zoo(kernel, channels, side, taps, block):
    x, weights = random((8, channels, side, side)), random((channels, taps), seed=1)
    options = {"frames": 8, "past": (taps - 1) // 2}
    y, _ = compute(kernel, x, weights, **options, block=block)
    assert error(y, temporal_conv(x, weights, **options)[0]) < TOLERANCE


@pytest.mark.parametrize("frames", (3, 5))
def test_frames_larger_than_a_tile(kernel, frames):
    x, weights = random((frames, 3, 65, 67)), random((3, 3), seed=1)
    options = {"frames": frames, "past": 1}
    uncut, cut = (compute(kernel, x, weights, **options, cuts=cuts)[0] for cuts in ((), (0.3, 0.6)))
    assert error(uncut, temporal_conv(x, weights, **options)[0]) < TOLERANCE
    np.testing.assert_array_equal(cut, uncut)


@given(
    chunks=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    taps=st.sampled_from((3, 5, 7, 11)),
    block=st.sampled_from((1, 8, 16)),
)
@settings(max_examples=30, deadline=None)
def test_a_stream_equals_the_causal_clip_bit_for_bit(kernel, chunks, taps, block):
    batch, channels, past = 2, 16, taps - 1
    x, weights = random((batch, sum(chunks), channels, 3, 5)), random((channels, taps), seed=1)
    clip, _ = compute(
        kernel, x.reshape(-1, channels, 3, 5), weights, frames=sum(chunks), past=past, block=block
    )
    state, outputs = np.zeros((batch, past, channels, 3, 5), np.float32), []
    for part in np.split(x, np.cumsum(chunks)[:-1], axis=1):
        frames = part.shape[1]
        y, state = compute(
            kernel,
            part.reshape(-1, channels, 3, 5),
            weights,
            frames=frames,
            past=past,
            state=state,
            block=block,
        )
        outputs.append(y.reshape(batch, frames, channels, 3, 5))
    np.testing.assert_array_equal(np.concatenate(outputs, axis=1), clip.reshape(x.shape))


def test_a_filter_that_is_a_shift_moves_the_frames(kernel):
    x = random((4, 3, 5, 5))
    to_the_past, stay, to_the_future = np.eye(3, dtype=np.float32)
    y, _ = compute(kernel, x, np.stack([to_the_past, stay, to_the_future]), frames=4, past=1)
    np.testing.assert_array_equal(y[1:, 0], x[:-1, 0])
    np.testing.assert_array_equal(y[:, 1], x[:, 1])
    np.testing.assert_array_equal(y[:-1, 2], x[1:, 2])
    assert not y[0, 0].any()
    assert not y[-1, 2].any()


def test_a_nan_reaches_the_frames_under_the_filter_and_no_other(kernel):
    x = random((5, 1, 3, 7))
    x[2, 0, 1, 4] = np.nan
    y, _ = compute(kernel, x, np.ones((1, 3), np.float32), frames=5, past=1, **RELU)
    assert [tuple(at) for at in np.argwhere(np.isnan(y))] == [(frame, 0, 1, 4) for frame in (1, 2, 3)]


def test_the_comparison_detects_one_wrong_weight(kernel):
    x, weights = random((8, 64, 7, 7)), random((64, 3), seed=1)
    y, _ = compute(kernel, x, weights, frames=8, past=1)
    weights[33, 2] *= 1.001
    assert error(y, temporal_conv(x, weights, frames=8, past=1)[0]) > TOLERANCE


@pytest.mark.parametrize(
    ("change", "words"),
    (
        ({"taps": 4}, "taps must be odd"),
        ({"past": 3}, "past must be from 0 to taps - 1"),
        ({"block": 4}, "block must be 1, 8 or 16"),
        ({"block": 8, "channels": 12}, "channels must be a multiple of block"),
    ),
)
def test_what_cannot_be_run_is_refused_with_the_reason(kernel, change, words):
    x = random((1, 16, 2, 2))
    conv = conv_of(x, random((16, 3)), empty(x.shape), frames=1, past=1)
    for name, value in change.items():
        setattr(conv, name, value)
    assert kernel.why_not(ctypes.byref(conv)).decode() == words


SANITIZED = """
#include <initializer_list>

#include "%(header)s"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;

// Every array ends where its last element does, so that the sanitizer sees a step beyond it.
void try_shape(int64_t batch, int64_t frames, int64_t channels, int64_t pixels, int64_t block, int64_t taps,
               int64_t past) {
  edgevid::TemporalConv conv;
  conv.batch = batch, conv.frames = frames, conv.channels = channels, conv.pixels = pixels;
  conv.block = block, conv.taps = taps, conv.past = past;
  const auto array = [](int64_t count) { return new float[count](); };
  float* arrays[] = {array(batch * frames * channels * pixels), array(batch * frames * channels * pixels),
                     array(channels * taps), array(channels), array(batch * past * channels * pixels),
                     array(batch * past * channels * pixels)};
  conv.x = arrays[0], conv.y = arrays[1], conv.weights = arrays[2], conv.bias = arrays[3];
  for (bool stream : {false, true}) {
    if (stream) conv.state = arrays[4], conv.next_state = arrays[5];
    kernel::run(conv, 0, kernel::work_items(conv));
  }
  for (float* each : arrays) delete[] each;
}

int main() {
  for (int64_t block : {1, 8, 16})
    for (int64_t taps : {1, 3, 5, 7, 9})
      for (int64_t pixels : {1, 3, 7, 16, 49, 261})
        for (int64_t frames : {1, 2, 5})
          for (int64_t past : {int64_t{0}, (taps - 1) / 2, taps - 1})
            try_shape(2, frames, 16, pixels, block, taps, past);
  try_shape(1, 8, 128, 2304, 1, 3, 1);  // past the caches
}
"""


# The widest vectors overrun ends the furthest; the narrowest have the most code paths.
@pytest.mark.parametrize("isa", ("avx512", "generic"))
def test_the_sanitizers_find_nothing(isa, tmp_path):
    assert_sanitizers_find_nothing("temporal_conv", SANITIZED, isa, tmp_path)
