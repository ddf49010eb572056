"""Temporal and channel convolutions as nodes of ONNX Runtime compute what their references do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import blocked, plain, random

from edgevid.kernels.channel_conv.reference import channel_conv
from edgevid.kernels.temporal_conv.reference import temporal_conv

pytestmark = pytest.mark.op_alone

# An op of a session runs on arrays that no example changes.
many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def close(y, expected):
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@many
@given(
    frames=st.integers(1, 5),
    clips=st.integers(1, 2),
    channels=st.integers(1, 20),
    inner=st.lists(st.integers(1, 7), max_size=3),
    taps=st.sampled_from((1, 3, 5, 9)),
    causal=st.booleans(),
    with_bias=st.booleans(),
)
def test_a_temporal_conv_of_any_rank(run_op, frames, clips, channels, inner, taps, causal, with_bias):
    x, weights = random((frames * clips, channels, *inner)), random((channels, taps), seed=1)
    bias = random(channels, seed=2) if with_bias else None
    (y,) = run_op("TemporalConv", [x, weights, bias], frames=frames, causal=int(causal))
    past = taps - 1 if causal else (taps - 1) // 2
    close(y, temporal_conv(x, weights, bias, frames=frames, past=past)[0])


def test_a_large_temporal_conv_is_shared_between_threads(run_op):
    x, weights = random((6, 40, 31, 37)), random((40, 3), seed=1)
    (y,) = run_op("TemporalConv", [x, weights], frames=3, causal=0)
    close(y, temporal_conv(x, weights, frames=3, past=1)[0])


@pytest.mark.parametrize("block", (8, 16))
def test_a_temporal_conv_in_blocks_with_an_activation(run_op, block):
    x, weights, bias = random((4, 32, 5, 7)), random((32, 5), seed=1), random(32, seed=2)
    clamp = {"low": 0.0, "high": 1.5}
    (y,) = run_op(
        "TemporalConv", [in_session(x, block), weights, bias], frames=2, causal=1, block=block, **clamp
    )
    close(from_session(y, block), temporal_conv(x, weights, bias, frames=2, past=4, **clamp)[0])


@pytest.mark.parametrize("size", ((3, 5), (9, 11)))
@pytest.mark.parametrize("taps", (3, 5, 11))
@pytest.mark.parametrize("block", (1, 8, 16))
def test_steps_continue_a_clip(run_op, taps, block, size):
    if block > 1 and taps > 7:
        pytest.skip("filters of more than 7 taps run in plain layout")
    images, frames, channels = 2, 4, 32
    clip, weights, bias = (
        random((images, frames, channels, *size)),
        random((channels, taps), 1),
        random(32, 2),
    )
    state = np.zeros((images, (taps - 1) * channels, *size), np.float32)
    steps = []
    for t in range(frames):
        x = in_session(np.ascontiguousarray(clip[:, t]), block)
        inputs, layout = [x, state, weights, bias], {"block": block} if block > 1 else {}
        y, state = run_op("TemporalConvStep", inputs, outputs=2, **layout)
        steps.append(from_session(y, block))
    expected, last = temporal_conv(
        clip.reshape(-1, channels, *size), weights, bias, frames=frames, past=taps - 1
    )
    close(np.stack(steps, axis=1).reshape(expected.shape), expected)
    np.testing.assert_array_equal(state, last.reshape(state.shape))


@many
@given(
    op=st.sampled_from(("ChannelConv", "UnsharedChannelConv")),
    channels=st.integers(1, 30),
    inner=st.lists(st.integers(1, 7), max_size=3),
    taps=st.integers(1, 12),
    stride=st.integers(1, 4),
    more=st.integers(0, 3),
    with_bias=st.booleans(),
)
def test_a_channel_conv_of_any_rank(run_op, op, channels, inner, taps, stride, more, with_bias):
    pads = taps // 2, taps // 2 + more
    unshared = ((channels + sum(pads) - taps) // stride + 1,) if op == "UnsharedChannelConv" else ()
    x, weights = random((2, channels, *inner)), random((3, taps, *unshared), seed=1)
    bias = random((3, *unshared), seed=2) if with_bias else None
    (y,) = run_op(op, [x, weights, bias], stride=stride, pad_begin=pads[0], pad_end=pads[1])
    expected = channel_conv(x, weights, bias, stride=stride, pads=pads)
    assert y.shape == expected.shape
    close(y, expected)


def test_a_large_channel_conv_is_shared_between_threads(run_op):
    x, weights = random((2, 512, 14, 14)), random((2, 8), seed=1)
    (y,) = run_op("ChannelConv", [x, weights], stride=2, pad_begin=3, pad_end=3)
    close(y, channel_conv(x, weights, stride=2, pads=(3, 3)))


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "words"),
    (
        ("TemporalConv", ((5, 4, 2), (4, 3)), {"frames": 2, "causal": 0}, "not whole clips"),
        ("TemporalConv", ((4, 4, 2), (3, 3)), {"frames": 2, "causal": 0}, "weights must be"),
        ("TemporalConv", ((4, 4, 2), (4, 2)), {"frames": 2, "causal": 0}, "taps must be odd"),
        ("TemporalConv", ((4, 4, 2), (4, 3), (3,)), {"frames": 2, "causal": 0}, "bias must have"),
        ("TemporalConvStep", ((2, 4, 2), (2, 4, 2), (4, 3)), {}, "state must be"),
        ("ChannelConv", ((2, 4, 2), (1, 5)), {"stride": 1, "pad_begin": 0, "pad_end": 0}, "longer than"),
        (
            "UnsharedChannelConv",
            ((2, 4), (1, 2, 2)),
            {"stride": 1, "pad_begin": 0, "pad_end": 0},
            "weights must",
        ),
    ),
)
def test_what_does_not_fit_is_refused_with_the_reason(run_op, op, shapes, attributes, words):
    outputs = 2 if op == "TemporalConvStep" else 1
    with pytest.raises(Exception, match=words):
        run_op(op, [np.zeros(shape, np.float32) for shape in shapes], outputs=outputs, **attributes)


def in_session(x, block):
    """ONNX Runtime writes the shape of the plain tensor on the blocked one."""
    return blocked(x, block).reshape(x.shape)


def from_session(y, block):
    images, channels, height, width = y.shape
    return plain(y.reshape(images, channels // block, height, width, block), block) if block > 1 else y
