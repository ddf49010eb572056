"""Shift, 1x1 and depthwise convolution in one pass equal NumPy's, for every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import ISAS, NONE, RELU, RELU6, blocks_of, draw_block, relative_error

from edgevid.kernels.shift_conv.reference import from_blocks, pointwise, to_blocks, weights_to_blocks
from edgevid.kernels.shift_conv_depthwise.reference import depthwise3x3, depthwise_to_blocks
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step
from edgevid.ops.temporal_shift import DIRECTIONS

pytestmark = pytest.mark.op_alone

# Inputs, outputs, frames, clips, height, width, fold, directions, stride, first activation, second one.
CASES = {
    "mobilenet 112x112": (16, 96, 1, 1, 112, 112, 0, (1, -1), 2, RELU6, RELU6),
    "mobilenet 56x56": (32, 144, 2, 1, 56, 56, 3, (1, -1), 1, RELU6, RELU6),
    "mobilenet 14x14": (64, 96, 4, 1, 14, 14, 8, (-1, 0), 1, RELU6, RELU6),
    "mobilenet 7x7": (160, 192, 2, 1, 7, 7, 20, (1, -1), 1, RELU6, RELU6),
    "an odd size, strided": (16, 48, 2, 1, 15, 9, 4, (1, -1), 2, RELU, NONE),
    "one pixel": (16, 16, 3, 1, 1, 1, 4, (1, -1), 1, NONE, NONE),
    "one pixel, strided": (16, 16, 1, 2, 1, 1, 0, (1, -1), 2, NONE, RELU),
    "one row": (32, 16, 2, 1, 1, 17, 8, (1, -1), 2, RELU, NONE),
    "one column": (32, 16, 2, 1, 17, 1, 8, (-1, 1), 1, NONE, RELU),
}


def weights_of(inputs, outputs, random):
    pointwise_weights = random.standard_normal((outputs, inputs, 1, 1), dtype=np.float32) / np.sqrt(inputs)
    weights = [pointwise_weights.astype(np.float32), random.standard_normal(outputs, dtype=np.float32)]
    depthwise = random.standard_normal((outputs, 1, 3, 3), dtype=np.float32)
    return [*weights, depthwise, random.standard_normal(outputs, dtype=np.float32)]


def in_blocks(weights, block):
    first, first_bias, second, second_bias = weights
    return [weights_to_blocks(first, block), first_bias, depthwise_to_blocks(second, block), second_bias]


def limits(first, second):
    names = ("low", "high", "depthwise_low", "depthwise_high")
    return dict(zip(names, map(float, (*first, *second))))


def expected_of(x, weights, stride, first, second):
    return depthwise3x3(pointwise(x, *weights[:2], None, *first), *weights[2:], stride, *second)


def error_of(run_op, block, case, threads=2, seed=0) -> float:
    inputs, outputs, frames, clips, height, width, fold, directions, stride, first, second = case
    random = np.random.default_rng(seed)
    x = random.standard_normal((frames * clips, inputs, height, width), dtype=np.float32)
    weights = weights_of(inputs, outputs, random)
    attributes = {"block": block, "frames": frames, "fold": fold, **limits(first, second)}
    attributes |= {"first": directions[0], "second": directions[1]}
    name = "ShiftConvDepthwise" if stride == 1 else "ShiftConvDepthwiseStride2"
    (y,) = run_op(name, [to_blocks(x, block), *in_blocks(weights, block)], threads=threads, **attributes)
    x_shifted = temporal_shift(x, frames, fold, *directions)
    return relative_error(from_blocks(y, block), expected_of(x_shifted, weights, stride, first, second))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_a_shift_and_two_convolutions(run_op, use_isa, isa, case):
    use_isa(isa)
    for block in blocks_of(isa):
        assert error_of(run_op, block, CASES[case]) < 1e-5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape(run_op, use_isa, data):
    block = draw_block(data, use_isa)
    inputs, outputs = (block * data.draw(st.integers(1, 4)) for _ in range(2))
    directions = data.draw(st.sampled_from(DIRECTIONS))
    fold = data.draw(st.integers(0, inputs // (2 if directions[1] else 1)))
    sizes = [data.draw(st.integers(1, most)) for most in (4, 2, 17, 17)]
    stride = data.draw(st.sampled_from((1, 2)))
    activations = [data.draw(st.sampled_from((NONE, RELU, RELU6))) for _ in range(2)]
    case = (inputs, outputs, *sizes, fold, directions, stride, *activations)
    assert error_of(run_op, block, case, data.draw(st.integers(1, 2)), data.draw(st.integers(0, 99))) < 1e-5


@pytest.mark.parametrize("isa", ISAS)
def test_a_step_takes_the_state_and_gives_the_next(run_op, use_isa, isa):
    use_isa(isa)
    for block in blocks_of(isa):
        random = np.random.default_rng(3)
        x = random.standard_normal((2, 32, 9, 7), dtype=np.float32)
        state = random.standard_normal((2, 5, 9, 7), dtype=np.float32)
        weights = weights_of(32, 48, random)
        inputs = [to_blocks(x, block), state, *in_blocks(weights, block)]
        attributes = {"block": block, "fold": 5, **limits(RELU6, RELU)}
        y, next_state = run_op("ShiftConvDepthwiseStep", inputs, outputs=2, **attributes)
        x_shifted, expected_state = temporal_shift_step(x, state)
        expected = expected_of(x_shifted, weights, 1, RELU6, RELU)
        assert relative_error(from_blocks(y, block), expected) < 1e-5
        np.testing.assert_array_equal(next_state, expected_state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"filters": (16, 1, 5, 5)}, "filters must be"),
        ({"frames": 2}, "not whole clips"),
        ({"fold": 9}, "fold is too large"),
        ({"block": 1}, "block must be"),
        ({"bias": 8}, "bias must have"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(run_op, change, words):
    x, weights = np.zeros((3, 16, 2, 2), np.float32), weights_of(16, 16, np.random.default_rng(0))
    weights[2] = np.zeros(change.pop("filters", (16, 1, 3, 3)), np.float32)
    weights[3] = np.zeros(change.pop("bias", 16), np.float32)
    attributes = {"block": 16, "frames": 3, "fold": 2, "first": 1, "second": -1, **limits(NONE, NONE)}
    with pytest.raises(Exception, match=words):
        run_op("ShiftConvDepthwise", [x, *weights], **{**attributes, **change})
