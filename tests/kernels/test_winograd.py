"""The 3x3 convolution by Winograd's algorithm equals NumPy's, for every instruction set and layout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import ISAS, NONE, RELU, RELU6, blocks_of, draw_block, relative_error

from edgevid.backends.onnxruntime.specialize.winograd import pays
from edgevid.kernels.shift_conv.reference import from_blocks, to_blocks
from edgevid.kernels.winograd.reference import (
    conv3x3,
    filter_matrix,
    filters_from_blocks,
    filters_to_points,
    points_to_blocks,
)

pytestmark = [pytest.mark.slow, pytest.mark.op_alone]

# Inputs, outputs, images, height, width, bias, residual, activation.
CASES = {
    "resnet layer1": (64, 64, 2, 56, 56, True, False, RELU),
    "resnet layer2": (128, 128, 2, 28, 28, True, False, RELU),
    "resnet layer3": (256, 64, 3, 14, 14, True, False, RELU),
    "resnet layer4": (512, 64, 2, 7, 7, True, False, RELU),
    "residual": (32, 48, 3, 6, 9, True, True, RELU6),
    "an odd number of output blocks": (16, 48, 2, 5, 5, False, False, NONE),
    "one pixel": (16, 16, 2, 1, 1, False, True, NONE),
    "one row": (32, 16, 1, 1, 13, True, False, NONE),
    "one column": (16, 32, 1, 13, 1, True, True, RELU),
}


def error_of(run_op, block, case, threads=2, seed=0) -> float:
    inputs, outputs, images, height, width, has_bias, residual, (low, high) = case
    random = np.random.default_rng(seed)
    x = random.standard_normal((images, inputs, height, width), dtype=np.float32)
    # Outputs of about 1, as in a network: errors are relative to the largest output, so the activation must
    # not clamp most of them.
    weights = random.standard_normal((outputs, inputs, 3, 3), dtype=np.float32) / np.sqrt(9 * inputs)
    weights = weights.astype(np.float32)
    bias = random.standard_normal(outputs, dtype=np.float32) if has_bias else None
    extra = random.standard_normal((images, outputs, height, width), dtype=np.float32) if residual else None
    points = points_to_blocks(filters_to_points(weights), block)
    op_inputs = [to_blocks(x, block), points, bias, None if extra is None else to_blocks(extra, block)]
    while op_inputs[-1] is None:
        op_inputs.pop()
    (y,) = run_op("WinogradConv", op_inputs, threads=threads, block=block, low=float(low), high=float(high))
    return relative_error(from_blocks(y, block), conv3x3(x, weights, bias, extra, low, high))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("isa", ISAS)
def test_it_is_the_direct_convolution(run_op, use_isa, isa, case):
    use_isa(isa)
    for block in blocks_of(isa):
        assert error_of(run_op, block, CASES[case]) < 1e-5


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape(run_op, use_isa, data):
    block = draw_block(data, use_isa)
    inputs, outputs = (block * data.draw(st.integers(1, 4)) for _ in range(2))
    images, height, width = (data.draw(st.integers(1, most)) for most in (4, 15, 15))
    options = data.draw(st.booleans()), data.draw(st.booleans())
    case = (inputs, outputs, images, height, width, *options, data.draw(st.sampled_from((NONE, RELU, RELU6))))
    threads, seed = data.draw(st.integers(1, 2)), data.draw(st.integers(0, 99))
    assert error_of(run_op, block, case, threads, seed) < 1e-5


def test_tiles_of_many_images_are_cut_into_pieces(run_op):
    assert error_of(run_op, 16, (64, 64, 9, 30, 30, True, False, NONE)) < 1e-5


def test_a_filter_at_the_points_is_its_polynomial():
    taps = np.array([2.0, -3.0, 5.0])
    zero, *pairs, infinity = filter_matrix((1.0, 2.0)) @ taps
    assert zero * 4 == pytest.approx(2.0)
    values = [2 - 3 * p + 5 * p * p for p in (1, -1, 2, -2)]
    np.testing.assert_allclose(np.array(pairs) * (-6, -6, 24, 24), values)
    assert infinity == 5.0


def test_blocked_filters_come_back_in_plain_order():
    weights = np.random.default_rng(0).standard_normal((32, 16, 3, 3), dtype=np.float32)
    blocks = weights.reshape(4, 8, 2, 8, 3, 3).transpose(0, 2, 4, 5, 3, 1).reshape(weights.shape)
    np.testing.assert_array_equal(filters_from_blocks(blocks, 8), weights)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([(2, 16, 4, 4), (36, 16, 32)], "channels of x"),
        ([(2, 16, 4, 4), (9, 16, 16)], "36, outputs"),
        ([(2, 16, 4, 4), (36, 24, 16)], "multiple of the block"),
        ([(2, 16, 4, 4), (36, 16, 16), (8,)], "one value for each output"),
        ([(2, 16, 4, 4), (36, 16, 16), (16,), (2, 16, 4, 5)], "residual must be like y"),
    ],
)
def test_a_node_that_makes_no_sense_is_refused(run_op, inputs, words):
    arrays = [np.zeros(shape, np.float32) for shape in inputs]
    with pytest.raises(Exception, match=words):
        run_op("WinogradConv", arrays, block=16, low=0.0, high=6.0)


def test_it_is_used_where_it_pays():
    assert pays((8, 64, 56, 56), (64, 64, 3, 3))
    assert pays((8, 256, 14, 14), (256, 256, 3, 3))
    # One small image does not outweigh reading filters four times as large.
    assert not pays((1, 512, 7, 7), (512, 512, 3, 3))
    assert not pays((1, 256, 14, 14), (256, 256, 3, 3))
