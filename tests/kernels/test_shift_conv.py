"""The fused shift and convolution equals NumPy's, for every instruction set and layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import ISAS, NONE, RELU, RELU6, blocks_of, draw_block, relative_error

from edgevid.kernels.shift_conv.reference import from_blocks, pointwise, to_blocks, weights_to_blocks
from edgevid.kernels.temporal_shift.reference import temporal_shift, temporal_shift_step
from edgevid.ops.temporal_shift import DIRECTIONS

pytestmark = pytest.mark.op_alone

# Inputs, outputs, frames, clips, height, width, fold, directions, residual, activation.
CASES = {
    "resnet layer1": (64, 64, 2, 1, 56, 56, 8, (1, -1), False, RELU),
    "resnet layer3": (256, 64, 3, 1, 14, 14, 32, (1, -1), False, RELU),
    "resnet layer4": (512, 128, 2, 1, 7, 7, 64, (1, -1), False, RELU),
    "mobilenet expansion": (32, 144, 4, 1, 9, 9, 3, (1, -1), False, RELU6),
    "mobilenet 7x7": (160, 960, 2, 1, 7, 7, 20, (-1, 0), False, RELU6),
    "PP-TSM directions": (32, 16, 3, 2, 5, 3, 4, (-1, 1), False, NONE),
    "residual": (32, 48, 3, 1, 6, 7, 5, (1, -1), True, RELU),
    "one frame": (32, 32, 1, 3, 4, 4, 8, (1, -1), False, NONE),
    "one pixel": (16, 16, 4, 1, 1, 1, 8, (1, -1), True, RELU6),
    "no channel moves": (16, 32, 2, 1, 3, 5, 0, (1, -1), False, RELU),
    "every channel moves": (16, 32, 3, 1, 3, 5, 8, (1, -1), False, NONE),
}


def arrays(inputs, outputs, images, height, width, residual, seed=0):
    random = np.random.default_rng(seed)
    shapes = [(images, inputs, height, width), (outputs, inputs, 1, 1), (outputs,)]
    x, weights, bias = (random.standard_normal(shape, dtype=np.float32) for shape in shapes)
    shape = (images, outputs, height, width)
    return x, weights, bias, random.standard_normal(shape, dtype=np.float32) if residual else None


def check_clip(run_op, block, case, threads=2, seed=0):
    inputs, outputs, frames, clips, height, width, fold, (first, second), residual, (low, high) = case
    x, weights, bias, extra = arrays(inputs, outputs, frames * clips, height, width, residual, seed)
    op_inputs = [to_blocks(x, block), weights_to_blocks(weights, block), bias]
    op_inputs.append(None if extra is None else to_blocks(extra, block))
    attributes = {"block": block, "frames": frames, "fold": fold, "first": first, "second": second}
    (y,) = run_op("ShiftConv", op_inputs, threads=threads, **attributes, low=float(low), high=float(high))
    x_shifted = temporal_shift(x, frames, fold, first, second)
    expected = pointwise(x_shifted, weights, bias, extra, low, high)
    assert relative_error(from_blocks(y, block), expected) < 1e-5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_a_shift_and_a_convolution(run_op, use_isa, isa, case):
    use_isa(isa)
    for block in (1, *blocks_of(isa)):
        check_clip(run_op, block, CASES[case])


@pytest.mark.parametrize("isa", ISAS)
def test_a_step_takes_the_state_and_gives_the_next(run_op, use_isa, isa):
    use_isa(isa)
    for block in (1, *blocks_of(isa)):
        x, weights, bias, extra = arrays(32, 48, 2, 5, 7, residual=True)
        state = np.random.default_rng(1).standard_normal((2, 5, 5, 7), dtype=np.float32)
        inputs = [to_blocks(x, block), state, weights_to_blocks(weights, block), bias]
        inputs.append(to_blocks(extra, block))
        attributes = {"block": block, "fold": 5, "low": 0.0, "high": 6.0}
        y, next_state = run_op("ShiftConvStep", inputs, outputs=2, **attributes)
        x_shifted, expected_state = temporal_shift_step(x, state)
        expected = pointwise(x_shifted, weights, bias, extra, 0.0, 6.0)
        assert relative_error(from_blocks(y, block), expected) < 1e-5
        np.testing.assert_array_equal(next_state, expected_state)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape_fold_and_batch(run_op, use_isa, data):
    block = draw_block(data, use_isa, 1)
    unit = block if block > 1 else 1
    inputs, outputs = (unit * data.draw(st.integers(1, 5 if unit > 1 else 40)) for _ in range(2))
    directions = data.draw(st.sampled_from(DIRECTIONS))
    fold = data.draw(st.integers(0, inputs // (2 if directions[1] else 1)))
    sizes = [data.draw(st.integers(1, most)) for most in (4, 3, 9, 9)]
    residual, activation = data.draw(st.booleans()), data.draw(st.sampled_from((NONE, RELU, RELU6)))
    case = (inputs, outputs, *sizes, fold, directions, residual, activation)
    check_clip(run_op, block, case, data.draw(st.integers(1, 2)), data.draw(st.integers(0, 99)))


def test_bias_and_residual_are_optional(run_op):
    x, weights, _, extra = arrays(16, 16, 2, 3, 3, residual=True)
    attributes = {"block": 1, "frames": 2, "fold": 4, "first": 1, "second": -1, "low": 0.0, "high": 6.0}
    x_shifted = temporal_shift(x, 2, 4, 1, -1)
    (y,) = run_op("ShiftConv", [x, weights], **attributes)
    assert relative_error(y, pointwise(x_shifted, weights, low=0.0, high=6.0)) < 1e-5
    (y,) = run_op("ShiftConv", [x, weights, None, extra], **attributes)
    assert relative_error(y, pointwise(x_shifted, weights, None, extra, 0.0, 6.0)) < 1e-5


@pytest.mark.parametrize("isa", ISAS)
def test_negative_values_may_have_a_slope(run_op, use_isa, isa):
    use_isa(isa)
    for block in (1, *blocks_of(isa)):
        x, weights, bias, extra = arrays(32, 16, 4, 3, 5, residual=True)
        inputs = [to_blocks(x, block), weights_to_blocks(weights, block), bias, to_blocks(extra, block)]
        attributes = {"block": block, "frames": 2, "fold": 4, "first": 1, "second": -1, "slope": 0.25}
        (y,) = run_op("ShiftConv", inputs, **attributes, low=-np.inf, high=np.inf)
        total = pointwise(temporal_shift(x, 2, 4, 1, -1), weights, bias, extra)
        assert relative_error(from_blocks(y, block), np.where(total < 0, 0.25 * total, total)) < 1e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": 2}, "not whole clips"),
        ({"fold": 9}, "fold is too large"),
        ({"block": 4}, "block must be"),
        ({"block": 16, "weights": 24}, "multiple of the block"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(run_op, change, words):
    x, weights, bias, _ = arrays(16, change.pop("weights", 16), 3, 2, 2, residual=False)
    attributes = {"block": 1, "frames": 3, "fold": 2, "first": 1, "second": -1, "low": 0.0, "high": 6.0}
    with pytest.raises(Exception, match=words):
        run_op("ShiftConv", [x, weights, bias], **{**attributes, **change})


def test_the_reference_detects_a_wrong_fold(run_op):
    x, weights, bias, _ = arrays(16, 16, 3, 2, 2, residual=False)
    attributes = {"block": 1, "frames": 3, "fold": 3, "first": 1, "second": -1}
    (y,) = run_op("ShiftConv", [x, weights, bias], **attributes, low=-np.inf, high=np.inf)
    assert relative_error(y, pointwise(temporal_shift(x, 3, 4, 1, -1), weights, bias)) > 1e-3
