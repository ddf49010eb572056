"""The stack of frames has one meaning in torch, in ONNX, and frame by frame."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_op import close, exported, lowered, obeys_torch, one_node_model, openvino_loads, run
from torch import nn

from edgevid.errors import EdgevidError, ExportError
from edgevid.exporter.trace import trace
from edgevid.ops.frame_stack import Stack, cost, streaming_step, torch_op
from edgevid.passes.lower import lower
from edgevid.passes.verify import verify
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv

pytestmark = pytest.mark.slow

frame_stack = torch_op()
NAMES = ("frames", "taps", "first", "dilation", "stride")


def reference(x, frames: int, taps: int, first: int, dilation: int, stride: int) -> np.ndarray:
    """The definition, one frame of the result at a time."""
    rows = []
    for clip in range(0, len(x), frames):
        for start in range(0, frames, stride):
            window = [start + first + tap * dilation for tap in range(taps)]
            rows.append(
                np.concatenate(
                    [x[clip + t] if 0 <= t < frames else np.zeros_like(x[0]) for t in window], axis=0
                )
            )
    return np.stack(rows)


@st.composite
def stacks(draw):
    frames, clips, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    shape = (clips * frames, channels, *draw(st.sampled_from([(), (3,), (2, 3), (1, 1)])))
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape, dtype=np.float32)
    taps, first = draw(st.integers(1, 4)), draw(st.integers(-7, 3))
    return x, (frames, taps, first, draw(st.integers(1, 3)), draw(st.integers(1, 4)))


def model_of(x, stack):
    return one_node_model("FrameStack", [x], **dict(zip(NAMES, stack)))


@given(stacks())
@settings(max_examples=80, deadline=None)
def test_torch_op_stacks_as_defined(case):
    x, stack = case
    np.testing.assert_array_equal(frame_stack(torch.from_numpy(x), *stack).numpy(), reference(x, *stack))


@given(stacks())
@settings(max_examples=40, deadline=None)
def test_onnx_function_stacks_as_defined(case):
    x, stack = case
    np.testing.assert_array_equal(run(model_of(x, stack), [x])[0], reference(x, *stack))


@given(stacks())
@settings(max_examples=40, deadline=None)
def test_lowering_preserves_the_result(case):
    x, stack = case
    model = lowered(model_of(x, stack), "FrameStack").SerializeToString()
    np.testing.assert_array_equal(run(model, [x])[0], reference(x, *stack))


@pytest.mark.parametrize("as_function", [True, False])
@pytest.mark.parametrize(
    ("taps", "first", "dilation"), [(3, -2, 1), (2, -3, 3), (3, -5, 2), (1, -2, 1), (2, -3, 1)]
)
def test_streaming_a_causal_stack_frame_by_frame_equals_the_clip(as_function, taps, first, dilation):
    x = np.random.default_rng(0).standard_normal((2, 6, 3, 2, 2), dtype=np.float32)
    step = streaming_step(Stack(6, taps, first, dilation), x[:, 0].shape)
    assert step.op_type == "FrameStackStep"
    assert step.state_shape == (2, -first * 3, 2, 2)
    state = np.zeros(step.state_shape, np.float32)
    model = one_node_model(step.op_type, [x[:, 0], state], outputs=2, **step.attributes)
    if not as_function:
        model = lowered(model, "FrameStack").SerializeToString()
    session, pushed = onnxruntime.InferenceSession(model), []
    for frame in range(6):
        y, state = session.run(None, {"x0": np.ascontiguousarray(x[:, frame]), "x1": state})
        pushed.append(y)
    expected = reference(x.reshape(12, 3, 2, 2), 6, taps, first, dilation, 1)
    close(np.stack(pushed, 1).reshape(expected.shape), expected)


def test_one_stack_is_lowered_to_one_gather():
    x = np.ones((4, 6, 3, 3), np.float32)
    graph = ir.from_proto(onnx.load_from_string(model_of(x, (4, 3, -1, 1, 1))))
    lower(graph, "FrameStack")
    assert sorted(node.op_type for node in graph.graph) == ["Concat", "Gather", "Reshape"]


@pytest.mark.parametrize("stack", [(3, 3, -1, 1, 1), (3, 2, -2, 2, 1), (6, 5, -2, 1, 4), (1, 3, -1, 1, 1)])
def test_gradient_is_right_and_the_op_passes_opcheck(stack):
    x = torch.randn(6, 2, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: frame_stack(t, *stack), [x])
    obeys_torch(frame_stack, (x.detach().float().requires_grad_(), *stack))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_is_kept(dtype):
    assert frame_stack(torch.randn(4, 6, 3, 3).to(dtype), 4, 3, -1, 1, 1).dtype == dtype


@pytest.mark.parametrize(
    ("shape", "stack", "reason"),
    [
        ((4, 6), (3, 3, -1, 1, 1), "not clips of 3"),
        ((4,), (4, 3, -1, 1, 1), "not of 1 dimensions"),
        ((4, 6), (4, 0, -1, 1, 1), "0 taps"),
        ((4, 6), (4, 3, -1, 1, 0), "stride 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(shape, stack, reason):
    with pytest.raises(ValueError, match=reason):
        frame_stack(torch.zeros(shape), *stack)


def test_only_causal_stacks_of_stride_1_have_a_streaming_step():
    shape = (8, 4, 2, 2)
    assert "the next frame" in streaming_step(Stack(8, 3, -1), shape)
    assert "the next 4 frames" in streaming_step(Stack(8, 5, -4, 2), shape)
    assert "every 4 frames" in streaming_step(Stack(8, 3, -2, stride=4), shape)
    assert streaming_step(Stack(8, 1, 0), shape) is None


def test_it_costs_no_macs_but_a_read_and_a_write_for_each_tap():
    spent = cost(Stack(8, 3, -1, stride=2), (8, 16, 7, 7))
    assert (spent.macs, spent.bytes_moved) == (0, (8 + 3 * 4) * 16 * 7 * 7 * 4)


@pytest.mark.parametrize("frames", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("taps", "stride", "dilation"), [(1, 1, 1), (1, 2, 1), (3, 1, 2), (5, 2, 1), (7, 4, 1)]
)
def test_the_layer_is_a_convolution_of_volumes(frames, taps, stride, dilation):
    ours = SpatiotemporalConv(3, 4, (taps, 3, 3), (stride, 2, 2), (1, 1), dilation)
    reach = (taps // 2) * dilation
    theirs = nn.Conv3d(3, 4, (taps, 3, 3), (stride, 2, 2), (reach, 1, 1), (dilation, 1, 1))
    theirs.load_state_dict(ours.state_dict())
    clips = torch.randn(2, frames, 3, 6, 6)
    expected = theirs(clips.transpose(1, 2)).transpose(1, 2)
    assert expected.shape[1] == ours.frames_out(frames)
    torch.testing.assert_close(ours(clips.flatten(0, 1), frames), expected.flatten(0, 1))


def test_a_causal_layer_does_not_read_later_frames():
    layer = SpatiotemporalConv(3, 4, (3, 1, 1), causal=True)
    clip = torch.randn(4, 3, 2, 2)
    changed = clip.clone()
    changed[3] = 0
    before, after = layer(clip, 4), layer(changed, 4)
    torch.testing.assert_close(before[:3], after[:3])
    assert not torch.allclose(before[3], after[3])


def test_a_layer_over_an_even_number_of_frames_is_refused():
    with pytest.raises(EdgevidError, match="odd number"):
        SpatiotemporalConv(3, 4, (4, 1, 1))


class Convolving(nn.Module):
    """Two convolutions over time and space."""

    def __init__(self, causal: bool):
        super().__init__()
        self.first = SpatiotemporalConv(3, 8, (3, 3, 3), (1, 2, 2), (1, 1), causal=causal)
        self.second = SpatiotemporalConv(8, 8, (3, 1, 1), dilation=2, causal=causal)

    def frame_logits(self, clip):
        frames, x = clip.shape[1], clip.flatten(0, 1)
        for convolve in (self.first, self.second):
            x = torch.relu(convolve(x, frames))
        return x.mean((2, 3)).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_network_is_exported_equal_to_pytorch(tmp_path, target, model, stream):
    torch.manual_seed(0)
    bundle = exported(tmp_path, Convolving(causal=stream), target, stream=stream)
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert [state.shape for state in bundle.manifest.states] == (
        [(1, 6, 16, 16), (1, 32, 8, 8)] if stream else []
    )
    openvino_loads(bundle.path / model)


def test_a_network_that_looks_ahead_cannot_be_streamed(tmp_path):
    with pytest.raises(ExportError, match=r"looks into the future.*it reads the next frame"):
        exported(tmp_path, Convolving(causal=False), "cpu", stream=True)


def test_the_verifier_refuses_frames_that_do_not_form_clips():
    graph = trace(Convolving(causal=False).eval(), torch.zeros(1, 4, 3, 16, 16))
    verify(graph)
    node = next(node for node in graph.graph if node.op_type == "FrameStack")
    node.inputs[0].shape = ir.Shape((5, 3, 16, 16))
    with pytest.raises(ExportError, match="not clips of 4"):
        verify(graph)
