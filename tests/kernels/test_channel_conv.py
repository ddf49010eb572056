"""ChannelConv computes what its reference does, on every instruction set that this machine has."""

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
    empty,
    error,
    kernel_fixture,
    random,
)

from edgevid.kernels.channel_conv.call import conv_of
from edgevid.kernels.channel_conv.reference import channel_conv
from edgevid.kernels.common.standalone.compile import run

pytestmark = pytest.mark.slow

RELU = {"low": 0.0}
RELU6 = {"low": 0.0, "high": 6.0}


kernel = kernel_fixture("channel_conv")


def compute(kernel, x, weights, bias=None, *, stride=1, pads=(0, 0), offset=0, cuts=(), **clip):
    outputs = (x.shape[1] + sum(pads) - weights.shape[1]) // stride + 1
    y = empty((len(x), len(weights) * outputs, *x.shape[2:]), offset)
    x_copy = at_offset(x, offset)
    conv = conv_of(x_copy, weights, y, bias=bias, stride=stride, pads=pads, **clip)
    assert kernel.why_not(ctypes.byref(conv)) is None
    run(kernel, conv, cuts)
    return y


@st.composite
def cases(draw):
    taps, stride = draw(st.integers(1, 40)), draw(st.sampled_from((1, 1, 2, 2, 3, 4, 7)))
    # Long enough padding makes filters that touch no channel.
    pads = draw(st.integers(0, taps + 1)), draw(st.integers(0, taps + 1))
    channels = draw(st.integers(max(1, taps - sum(pads)), 90))
    filters, batch = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size = draw(st.sampled_from(((1, 1), (1, 2), (3, 3), (2, 4), (4, 4), (5, 5), (7, 7), (3, 17))))
    options = {"stride": stride, "pads": pads, **draw(st.sampled_from(({}, RELU, RELU6)))}
    outputs = (channels + sum(pads) - taps) // stride + 1
    unshared = (outputs,) if draw(st.booleans()) else ()
    bias = random((filters, *unshared), seed=2) if draw(st.booleans()) else None
    return (
        (random((batch, channels, *size)), random((filters, taps, *unshared), seed=1), bias),
        options,
        draw(st.integers(0, 3)),
    )


@given(case=cases())
@settings(max_examples=150, deadline=None)
def test_equals_the_reference(kernel, case):
    arrays, options, offset = case
    doubles = [None if a is None else a.astype(np.float64) for a in arrays]
    y, expected = compute(kernel, *arrays, **options, offset=offset), channel_conv(*doubles, **options)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE, atol=TOLERANCE)


@given(case=cases(), cuts=st.lists(st.floats(0, 1), max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_cut_of_the_work_gives_the_same_bits(kernel, case, cuts):
    arrays, options, offset = case
    uncut, cut = (compute(kernel, *arrays, **options, offset=offset, cuts=c) for c in ((), cuts))
    np.testing.assert_array_equal(cut, uncut)


# Of ChannelNets: the group channel-wise convolution, the depth-wise-separable form, and the convolutional
# classification layer with shared weights and without.
@pytest.mark.parametrize(
    ("x", "weights", "options", "outputs"),
    (
        ((1, 512, 14, 14), (2, 8), {"stride": 2, "pads": (3, 3)}, 512),
        ((2, 512, 14, 14), (4, 8), {"stride": 4, "pads": (2, 2)}, 512),
        ((1, 1024, 7, 7), (1, 64), {"pads": (31, 32), **RELU6}, 1024),
        ((1, 1024, 1, 1), (1, 25), {}, 1000),
        ((8, 1024, 1, 1), (1, 25), {}, 1000),
        ((1, 1024, 1, 1), (1, 25, 1000), {}, 1000),
        ((1, 1024 * 49, 1, 1), (1, 25 * 49), {"stride": 49}, 1000),
    ),
)
def test_shapes_of_the_zoo(kernel, x, weights, options, outputs):
    x, weights = random(x), random(weights, seed=1)
    y = compute(kernel, x, weights, **options)
    assert y.shape == (len(x), outputs, *x.shape[2:])
    doubles = x.astype(np.float64), weights.astype(np.float64)
    assert error(y, channel_conv(*doubles, **options)) < TOLERANCE


def test_it_is_a_standard_convolution_of_the_channels_as_height(kernel):
    torch = pytest.importorskip("torch")
    x, weights, bias = random((2, 20, 3, 5)), random((2, 8), seed=1), random(2, seed=2)
    y = compute(kernel, x, weights, bias, stride=2, pads=(3, 3))
    x, weights, bias = map(torch.from_numpy, (x, weights, bias))
    standard = torch.nn.functional.conv2d(
        x.reshape(2, 1, 20, 15), weights.reshape(2, 1, 8, 1), bias, stride=(2, 1), padding=(3, 0)
    )
    assert error(y, standard.reshape(2, 20, 3, 5).numpy()) < TOLERANCE


def test_padding_is_never_multiplied_even_with_infinity(kernel):
    x = np.full((1, 12, 4, 5), np.inf, np.float32)
    y = compute(kernel, x, np.ones((1, 3), np.float32), pads=(5, 5))
    np.testing.assert_array_equal(y[0, :, 0, 0], [0] * 3 + [np.inf] * 14 + [0] * 3)


def test_the_comparison_detects_one_wrong_weight(kernel):
    x, weights = random((1, 64, 7, 7)), random((1, 64), seed=1)
    y = compute(kernel, x, weights, pads=(31, 32))
    weights[0, 33] *= 1.01
    assert error(y, channel_conv(x, weights, pads=(31, 32))) > TOLERANCE


@pytest.mark.parametrize(
    ("change", "words"),
    (
        ({"taps": 0}, "there must be a tap"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"pad_end": -1}, "padding must not be negative"),
        ({"taps": 17}, "the filter is longer than the padded channels"),
    ),
)
def test_what_cannot_be_run_is_refused_with_the_reason(kernel, change, words):
    x = random((1, 16, 2, 2))
    conv = conv_of(x, random((1, 3)), empty((1, 14, 2, 2)))
    for name, value in change.items():
        setattr(conv, name, value)
    assert kernel.why_not(ctypes.byref(conv)).decode() == words


SANITIZED = """
#include <initializer_list>

#include "%(header)s"

namespace kernel = edgevid::EDGEVID_ISA_NAMESPACE;

// Every array ends where its last element does, so that the sanitizer sees a step beyond it.
void try_shape(int64_t channels, int64_t pixels, int64_t filters, int64_t taps, int64_t stride, int64_t pad,
               bool unshared) {
  edgevid::ChannelConv conv;
  conv.batch = 2, conv.channels = channels, conv.pixels = pixels, conv.filters = filters, conv.taps = taps;
  conv.stride = stride, conv.pad_begin = pad, conv.pad_end = pad + 1, conv.unshared = unshared;
  if (kernel::why_not(conv)) return;
  const int64_t outputs = kernel::outputs_of(conv), own = unshared ? outputs : 1;
  const auto array = [](int64_t count) { return new float[count](); };
  float* arrays[] = {array(2 * channels * pixels), array(2 * filters * outputs * pixels),
                     array(filters * taps * own), array(filters * own)};
  conv.x = arrays[0], conv.y = arrays[1], conv.weights = arrays[2], conv.bias = arrays[3];
  kernel::run(conv, 0, kernel::work_items(conv));
  for (float* each : arrays) delete[] each;
}

int main() {
  for (int64_t channels : {1, 16, 75})
    for (int64_t pixels : {1, 3, 7, 16, 49, 131})
      for (int64_t taps : {1, 8, 25})
        for (int64_t stride : {1, 2, 3})
          for (int64_t pad : {0, 3, 30})
            for (bool unshared : {false, true}) try_shape(channels, pixels, 2, taps, stride, pad, unshared);
}
"""


# The widest vectors overrun ends the furthest; the narrowest have the most code paths.
@pytest.mark.parametrize("isa", ("avx512", "generic"))
def test_the_sanitizers_find_nothing(isa, tmp_path):
    assert_sanitizers_find_nothing("channel_conv", SANITIZED, isa, tmp_path)
