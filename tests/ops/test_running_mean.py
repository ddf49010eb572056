"""The running mean has one meaning in torch, in ONNX, and frame by frame."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_op import close, exported, lowered, obeys_torch, one_node_model, openvino_loads, run, tensors
from torch import nn

import edgevid
from edgevid.ops.running_mean import Mean, cost, streaming_step, torch_op
from edgevid.zoo.layers.running_mean import RunningMean

pytestmark = pytest.mark.slow

running_mean = torch_op()


def reference(x, frames: int) -> np.ndarray:
    """The definition, one frame at a time."""
    y = np.zeros_like(x)
    for frame in range(len(x)):
        y[frame] = x[frame - frame % frames : frame + 1].mean(0)
    return y


@st.composite
def clips(draw):
    frames, count, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    shape = (count * frames, channels, *draw(st.sampled_from([(), (3,), (2, 3)])))
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape, dtype=np.float32), frames


@given(clips())
@settings(max_examples=40, deadline=None)
def test_torch_op_averages_as_defined(case):
    x, frames = case
    close(running_mean(*tensors(x), frames).numpy(), reference(x, frames))


@pytest.mark.parametrize("as_function", [True, False])
@given(case=clips())
@settings(max_examples=25, deadline=None)
def test_onnx_function_and_lowering_average_as_defined(as_function, case):
    x, frames = case
    model = one_node_model("RunningMean", [x], frames=frames)
    if not as_function:
        model = lowered(model, "RunningMean").SerializeToString()
    close(run(model, [x])[0], reference(x, frames))


@pytest.mark.parametrize("as_function", [True, False])
@given(case=clips())
@settings(max_examples=25, deadline=None)
def test_streaming_frame_by_frame_equals_the_clip(as_function, case):
    x, frames = case
    by_clip = x.reshape(-1, frames, *x.shape[1:])
    step = streaming_step(Mean(frames), by_clip[:, 0].shape)
    state = np.zeros(step.state_shape, np.float32)
    model = one_node_model(step.op_type, [by_clip[:, 0], state], outputs=2)
    if not as_function:
        model = lowered(model, "RunningMean").SerializeToString()
    session = onnxruntime.InferenceSession(model)
    pushed = []
    for frame in range(frames):
        y, state = session.run(None, {"x0": np.ascontiguousarray(by_clip[:, frame]), "x1": state})
        pushed.append(y)
    close(np.stack(pushed, 1), reference(x, frames).reshape(by_clip.shape))


def test_a_long_stream_keeps_its_mean():
    x = np.full((1, 2), 3, np.float32)
    session = onnxruntime.InferenceSession(
        one_node_model("RunningMeanStep", [x, np.zeros((1, 3))], outputs=2)
    )
    y, _ = session.run(None, {"x0": x, "x1": np.array([[3, 3, 2e6]], np.float32)})
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("frames", [1, 3])
def test_gradient_is_right_and_the_op_passes_opcheck(frames):
    x = torch.randn(6, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: running_mean(t, frames), (x,))
    obeys_torch(running_mean, (torch.randn(6, 4, 2, requires_grad=True), frames))


@pytest.mark.parametrize(("shape", "reason"), [((4, 6), "not clips of 3"), ((3,), "not 1 dimensions")])
def test_arguments_that_do_not_fit_are_refused(shape, reason):
    with pytest.raises(ValueError, match=reason):
        running_mean(torch.zeros(shape), 3)


def test_it_costs_no_macs_but_a_read_and_a_write():
    spent = cost(Mean(8), (8, 16))
    assert (spent.macs, spent.bytes_moved) == (0, 2 * 8 * 16 * 4)


class Frames(nn.Module):
    """A network that answers each frame by itself."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, 2)

    def frame_logits(self, clip):
        return self.conv(clip.flatten(0, 1)).mean((2, 3)).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_stream_ends_with_the_output_for_the_clip(tmp_path, target, model):
    torch.manual_seed(0)
    network = RunningMean(Frames())
    bundle = exported(tmp_path, network, target, stream=True)
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert [state.shape for state in bundle.manifest.states] == [(1, 6)]
    openvino_loads(bundle.path / model)
    if target == "cpu":
        stream, clip = edgevid.open(bundle.path).stream(), torch.randn(1, 4, 3, 16, 16)
        for frame in clip.unbind(1):
            answer = stream.push(frame.numpy())["logits"]
        with torch.no_grad():
            close(answer, network(clip).numpy())
