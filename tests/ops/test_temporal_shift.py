"""The temporal shift has one meaning in torch, in ONNX, and frame by frame."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_op import obeys_torch, one_node_model, run

from edgevid.ops.temporal_shift import DIRECTIONS, Shift, cost, streaming_step, torch_op

pytestmark = pytest.mark.slow

temporal_shift = torch_op()


def reference(x: np.ndarray, frames: int, fold: int, first: int, second: int) -> np.ndarray:
    """The definition, one frame and channel at a time."""
    clips = x.reshape(-1, frames, *x.shape[1:])
    shifted = clips.copy()
    for channel in range(x.shape[1]):
        offset = first if channel < fold else second if channel < 2 * fold else 0
        for frame in range(frames):
            source = frame + offset
            inside = 0 <= source < frames
            shifted[:, frame, channel] = clips[:, source, channel] if inside else 0
    return shifted.reshape(x.shape)


@st.composite
def shifts(draw):
    frames, clips, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 9))
    first, second = draw(st.sampled_from(DIRECTIONS))
    fold = draw(st.integers(0, channels // 2 if second else channels))
    spatial = draw(st.sampled_from([(), (3,), (2, 3)]))
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((clips * frames, channels, *spatial))
    return x.astype(np.float32), frames, fold, first, second


@given(shifts())
@settings(max_examples=60, deadline=None)
def test_torch_op_moves_channels_as_defined(case):
    x, *attributes = case
    result = temporal_shift(torch.from_numpy(x), *attributes).numpy()
    np.testing.assert_array_equal(result, reference(x, *attributes))


@given(shifts())
@settings(max_examples=25, deadline=None)
def test_onnx_function_moves_channels_as_defined(case):
    x, frames, fold, first, second = case
    model = one_node_model("TemporalShift", [x], frames=frames, fold=fold, first=first, second=second)
    (result,) = run(model, [x])
    np.testing.assert_array_equal(result, reference(x, frames, fold, first, second))


@given(shifts())
@settings(max_examples=25, deadline=None)
def test_streaming_a_causal_shift_frame_by_frame_equals_the_clip(case):
    x, frames, fold, _, second = case
    fold = fold if second == 0 else 2 * fold
    clips = x.reshape(-1, frames, *x.shape[1:])
    step = streaming_step(Shift(frames, fold, -1, 0), clips[:, 0].shape)
    assert step.op_type == "TemporalShiftStep"
    assert step.state_shape == (len(clips), fold, *x.shape[2:])
    state = np.zeros(step.state_shape, np.float32)
    model = one_node_model(step.op_type, [clips[:, 0], state], outputs=2, **step.attributes)
    session = onnxruntime.InferenceSession(model)
    frames_out = []
    for frame in range(frames):
        y, state = session.run(None, {"x0": np.ascontiguousarray(clips[:, frame]), "x1": state})
        frames_out.append(y)
    expected = reference(x, frames, fold, -1, 0).reshape(clips.shape)
    np.testing.assert_array_equal(np.stack(frames_out, 1), expected)


def test_the_reference_itself_distinguishes_directions():
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert not np.array_equal(reference(x, 4, 1, 1, -1), reference(x, 4, 1, -1, 1))
    assert reference(x, 4, 1, 1, -1).tolist() == [[2, 0], [4, 1], [6, 3], [0, 5]]


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_gradient_is_right_and_the_op_passes_opcheck(directions):
    x = torch.randn(6, 5, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: temporal_shift(t, 3, 2, *directions), x)
    obeys_torch(temporal_shift, (torch.randn(6, 5, 2, requires_grad=True), 3, 2, *directions))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_type_and_memory_format_are_kept(dtype):
    x = torch.randn(4, 6, 3, 3).mul(9).to(dtype).contiguous(memory_format=torch.channels_last)
    y = temporal_shift(x, 4, 2, 1, -1)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_autocast_keeps_the_type():
    x = torch.randn(4, 6, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert temporal_shift(x, 4, 2, 1, -1).dtype == torch.float32
        assert temporal_shift(x.bfloat16(), 4, 2, 1, -1).dtype == torch.bfloat16


def test_fake_tensors_have_the_same_shape_and_strides():
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = torch.randn(4, 6, 3, 3).contiguous(memory_format=torch.channels_last)
    with FakeTensorMode() as mode:
        y = temporal_shift(mode.from_tensor(x), 4, 2, 1, -1)
    assert y.shape == x.shape
    assert y.stride() == x.stride()


@pytest.mark.parametrize(
    ("attributes", "shape", "reason"),
    [
        ((3, 1, 1, -1), (4, 6), "not clips of 3"),
        ((4, 4, 1, -1), (4, 6), "fold 4 does not fit"),
        ((4, -1, 1, -1), (4, 6), "fold -1 does not fit"),
        ((4, 1, 1, 1), (4, 6), "directions"),
        ((4, 1, 1, -1), (4,), "dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(attributes, shape, reason):
    with pytest.raises(ValueError, match=reason):
        temporal_shift(torch.zeros(shape), *attributes)


def test_a_shift_that_looks_ahead_has_no_streaming_step():
    assert "next frame" in streaming_step(Shift(8, 2, 1, -1), (1, 16, 4, 4))


def test_a_shift_costs_no_arithmetic_and_one_read_and_write_of_each_value():
    spent = cost(Shift(8, 2), (8, 16, 7, 7))
    assert spent.macs == 0
    assert spent.bytes_moved == 2 * 8 * 16 * 7 * 7 * 4
