"""The preprocessing kernel computes what its reference does, on every instruction set of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_kernel import ISAS

from edgevid.kernels.preprocess.call import Layout, Plan, load
from edgevid.kernels.preprocess.filters import cubic, triangle
from edgevid.kernels.preprocess.reference import preprocess

pytestmark = pytest.mark.op_alone

LEVELS = 0.1
"""How far a result may be from the reference, in levels of 255 and for a tap; independent errors add up."""

BYTES = Layout()
LAYOUTS = (BYTES, Layout(interleaved=True), Layout(bits=10), Layout(10, interleaved=True, aligned_high=True))
COLOR = np.array([[1.164, 0, 1.793, -248.1], [1.164, -0.213, -0.533, 76.9], [1.164, 2.112, 0, -289.0]])
LOW, HIGH = np.zeros(3), np.full(3, 255.0)


@pytest.fixture(scope="session")
def run(library):
    return load(library)


@pytest.fixture(params=ISAS)
def isa(request, use_isa):
    use_isa(request.param)
    return request.param


def random_planes(layout, luma, chroma):
    """Y, U and V of these shapes, with the values that a decoder's memory has."""
    shapes = luma, chroma, chroma
    random = np.random.default_rng(0)
    kind = np.uint8 if layout.bits == 8 else np.uint16
    planes = [random.integers(0, 1 << layout.bits, shape).astype(kind) for shape in shapes]
    return [plane << (16 - layout.bits) for plane in planes] if layout.aligned_high else planes


def in_levels(planes, layout):
    """The samples as numbers from 0 to 255."""
    bits = 16 if layout.aligned_high else layout.bits
    return [plane / 2.0 ** (bits - 8) for plane in planes]


def in_memory(planes, layout, padding=0, bottom_up=False):
    """The planes as a decoder has them; without padding, they end with their last sample."""
    if layout.interleaved:
        planes = [planes[0], np.stack(planes[1:], axis=-1).reshape(len(planes[1]), -1)]
    if padding:
        planes = [np.pad(plane, ((0, 0), (0, padding)))[:, :-padding] for plane in planes]
    return [plane[::-1].copy()[::-1] if bottom_up else plane for plane in planes]


def bind(plan, planes, out):
    return plan.bind([plane.ctypes.data for plane in planes], [plane.strides[0] for plane in planes], out)


@st.composite
def axes(draw):
    """Samples and filters of an axis, of luma and of chroma: any scale and window, forward or backward."""
    source, resized = draw(st.integers(1, 200)), draw(st.integers(1, 70))
    begin = draw(st.integers(0, resized - 1))
    kept = np.arange(begin, draw(st.integers(begin + 1, resized)))
    kept = kept[::-1] if draw(st.booleans()) else kept
    chroma = max(1, source // draw(st.sampled_from((1, 2, 2, 4))))
    return (source, chroma), (triangle(source, resized, kept), cubic(chroma, resized, kept))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from(LAYOUTS),
    rows=axes(),
    columns=axes(),
    turned=st.booleans(),
    padding=st.sampled_from((0, 0, 5)),
    bottom_up=st.booleans(),
)
def test_equals_the_reference(isa, run, layout, rows, columns, turned, padding, bottom_up):
    (heights, rows), (widths, columns) = rows, columns
    planes = random_planes(layout, *zip(heights, widths))
    matrices = [[each.dense(n) for each, n in zip(*axis)] for axis in ((rows, heights), (columns, widths))]
    expected = preprocess(in_levels(planes, layout), *matrices, COLOR, LOW, HIGH)
    plan = Plan(layout, rows, columns, COLOR, LOW, HIGH, turned)
    out = np.full(plan.shape, np.nan, np.float32)
    memory = in_memory(planes, layout, padding, bottom_up)
    run(bind(plan, memory, out))
    taps = max(each.weights.shape[1] for each in (*rows, *columns))
    difference = np.abs((out.transpose(0, 2, 1) if turned else out) - expected).max()
    assert difference < LEVELS * np.sqrt(taps)


SMALL = (270, 480), (135, 240)
"""Height and width of luma and of chroma."""


def planned(color=COLOR, low=LOW, high=HIGH, turned=False):
    filters = [[triangle(length, 64, np.arange(4, 60)) for length in shape] for shape in SMALL]
    return Plan(BYTES, *zip(*filters), color, low, high, turned)


def test_a_plain_picture_stays_plain(isa, run):
    planes = [np.full(SMALL[0], 200, np.uint8), *(np.full(SMALL[1], 128, np.uint8) for _ in range(2))]
    out = np.empty((3, 56, 56), np.float32)
    gray = np.repeat([[1.0, 0, 0, 0]], 3, axis=0)
    run(bind(planned(color=gray), planes, out))
    np.testing.assert_allclose(out, 200, atol=0.05)


@pytest.mark.parametrize("turned", (False, True))
@pytest.mark.parametrize("kind", (np.float16, np.int8))
def test_narrow_results_are_the_wide_one_rounded(isa, run, kind, turned):
    """A result in int8 has its scale and zero point in the colors, and its range in the bounds."""
    scale = {np.float16: 1 / 255, np.int8: 0.5}[kind]  # of float16, also numbers below its normal ones
    plan = planned(
        color=COLOR * scale - [0, 0, 0, 64], low=np.full(3, -128.0), high=np.full(3, 127.0), turned=turned
    )
    planes = random_planes(BYTES, *SMALL)
    wide, narrow = np.empty(plan.shape, np.float32), np.empty(plan.shape, kind)
    for out in (wide, narrow):
        run(bind(plan, planes, out))
    np.testing.assert_array_equal(narrow, wide.astype(kind) if kind is np.float16 else np.rint(wide))


def test_float16_keeps_numbers_of_any_size(isa, run):
    planes = random_planes(BYTES, *SMALL)
    for scale in (1e-9, 1e-7, 1e-5, 1.0, 300.0, 1e4):
        plan = planned(color=COLOR * scale, low=np.full(3, -np.inf), high=np.full(3, np.inf))
        wide, narrow = np.empty(plan.shape, np.float32), np.empty(plan.shape, np.float16)
        for out in (wide, narrow):
            run(bind(plan, planes, out))
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(narrow, wide.astype(np.float16))


def test_a_result_may_be_a_window_of_a_larger_one(isa, run):
    planes = random_planes(BYTES, *SMALL)
    whole, expected = np.zeros((3, 70, 80), np.float32), np.empty((3, 56, 56), np.float32)
    run(bind(planned(), planes, expected))
    run(bind(planned(), planes, whole[:, 4:60, 3:59]))
    np.testing.assert_array_equal(whole[:, 4:60, 3:59], expected)
    whole[:, 4:60, 3:59] = 0
    assert not whole.any()


def test_the_comparison_detects_one_wrong_weight(isa, run):
    plan, planes = planned(), random_planes(BYTES, *SMALL)
    right, wrong = np.empty((3, 56, 56), np.float32), np.empty((3, 56, 56), np.float32)
    run(bind(plan, planes, right))
    plan._rows[0].weights[7, 2] += 100
    run(bind(plan, planes, wrong))
    assert np.abs(right - wrong).max() > 1


@pytest.mark.parametrize(
    ("change", "words"),
    (
        ({"height": 0}, "there must be a pixel"),
        ({"sample_bytes": 3}, "samples must be bytes or words"),
        ({"sample_shift": 9}, "samples must have 8 to 16 bits"),
        ({"windows": (1 << 17, 1)}, "a row must have 1 to 65536 samples"),
    ),
)
def test_what_cannot_be_run_is_refused_with_the_reason(run, change, words):
    arguments = bind(planned(), random_planes(BYTES, *SMALL), np.empty((3, 56, 56), np.float32))
    for name, value in change.items():
        setattr(arguments, name, value)
    with pytest.raises(ValueError, match=words):
        run(arguments)


def test_a_result_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="not rows of"):
        planned().bind([0, 0, 0], [0, 0, 0], np.empty((3, 56, 55), np.float32))
