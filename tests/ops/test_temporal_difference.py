"""The temporal difference has one meaning in torch, in ONNX, and frame by frame."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_op import close, exported, lowered, obeys_torch, one_node_model, openvino_loads, run, tensors
from torch import nn

from edgevid.errors import ExportError
from edgevid.exporter.trace import trace
from edgevid.ops.temporal_difference import Difference, cost, streaming_step, torch_op
from edgevid.passes.lower import lower
from edgevid.passes.verify import verify

pytestmark = pytest.mark.slow

temporal_difference = torch_op()


def reference(later, earlier, frames: int, causal: bool) -> np.ndarray:
    """The definition, one frame at a time."""
    y = np.zeros_like(later)
    for frame in range(len(later)):
        if causal and frame % frames > 0:
            y[frame] = later[frame] - earlier[frame - 1]
        if not causal and frame % frames < frames - 1:
            y[frame] = later[frame + 1] - earlier[frame]
    return y


@st.composite
def differences(draw):
    frames, clips, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    shape = (clips * frames, channels, *draw(st.sampled_from([(), (3,), (2, 3), (1, 1)])))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    later, earlier = random.standard_normal((2, *shape), dtype=np.float32)
    return later, earlier, frames, draw(st.booleans())


@given(differences())
@settings(max_examples=60, deadline=None)
def test_torch_op_subtracts_as_defined(case):
    *arrays, frames, causal = case
    close(temporal_difference(*tensors(*arrays), frames, causal).numpy(), reference(*case))


@given(differences())
@settings(max_examples=40, deadline=None)
def test_onnx_function_subtracts_as_defined(case):
    *arrays, frames, causal = case
    (result,) = run(one_node_model("TemporalDifference", arrays, frames=frames, causal=int(causal)), arrays)
    close(result, reference(*case))


@given(differences())
@settings(max_examples=40, deadline=None)
def test_lowering_preserves_the_result(case):
    *arrays, frames, causal = case
    model = one_node_model("TemporalDifference", arrays, frames=frames, causal=int(causal))
    (result,) = run(lowered(model, "TemporalDifference").SerializeToString(), arrays)
    close(result, reference(*case))


@pytest.mark.parametrize("as_function", [True, False])
@given(case=differences())
@settings(max_examples=25, deadline=None)
def test_streaming_a_causal_difference_frame_by_frame_equals_the_clip(as_function, case):
    later, earlier, frames, _ = case
    clips = [array.reshape(-1, frames, *array.shape[1:]) for array in (later, earlier)]
    shape = clips[0][:, 0].shape
    step = streaming_step(Difference(frames, True, later.shape), shape)
    assert step.op_type == "TemporalDifferenceStep"
    assert step.state_shape == (shape[0], shape[1] + 1, *shape[2:])
    state = np.zeros(step.state_shape, np.float32)
    model = one_node_model(step.op_type, [clips[0][:, 0], state, clips[1][:, 0]], outputs=2)
    if not as_function:
        model = lowered(model, "TemporalDifference").SerializeToString()
    session = onnxruntime.InferenceSession(model)
    pushed = []
    for frame in range(frames):
        now, before = (np.ascontiguousarray(clip[:, frame]) for clip in clips)
        y, state = session.run(None, {"x0": now, "x1": state, "x2": before})
        pushed.append(y)
    close(np.stack(pushed, 1), reference(later, earlier, frames, True).reshape(clips[0].shape))


@pytest.mark.parametrize("causal", [False, True])
def test_one_clip_is_lowered_to_one_subtraction_of_four_dimensional_slices(causal):
    arrays = [np.ones((4, 6, 3, 3), np.float32)] * 2
    model = one_node_model("TemporalDifference", arrays, frames=4, causal=int(causal))
    graph = ir.from_proto(onnx.load_from_string(model))
    lower(graph, "TemporalDifference")
    assert sorted(node.op_type for node in graph.graph) == ["Concat", "Slice", "Slice", "Sub"]
    assert {len(node.outputs[0].shape) for node in graph.graph} == {4}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_gradient_is_right_and_the_op_passes_opcheck(causal, frames):
    def example(dtype):
        return [torch.randn(6, 4, 2, 2, dtype=dtype, requires_grad=True) for _ in range(2)]

    assert torch.autograd.gradcheck(
        lambda *t: temporal_difference(*t, frames, causal), example(torch.float64)
    )
    obeys_torch(temporal_difference, (*example(torch.float32), frames, causal))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_and_memory_format_are_kept(dtype):
    x = torch.randn(4, 6, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    y = temporal_difference(x, x, 4, False)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("shape", "earlier", "frames", "reason"),
    [
        ((4, 6), (4, 6), 3, "not clips of 3"),
        ((4, 6), (4, 5), 4, r"shapes \(4, 6\) and \(4, 5\)"),
        ((4,), (4,), 4, "not 1 dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(shape, earlier, frames, reason):
    with pytest.raises(ValueError, match=reason):
        temporal_difference(torch.zeros(shape), torch.zeros(earlier), frames, False)


def test_a_difference_that_looks_ahead_has_no_streaming_step():
    assert "the next one" in streaming_step(Difference(8, False, (8, 4, 2, 2)), (8, 4, 2, 2))


def test_it_costs_no_macs_but_two_reads_and_a_write():
    spent = cost(Difference(8, False, (8, 16, 7, 7)), (8, 16, 7, 7))
    assert (spent.macs, spent.bytes_moved) == (0, 3 * 8 * 16 * 7 * 7 * 4)


class Moving(nn.Module):
    """The difference of convolved and plain features, twice."""

    def __init__(self, causal: bool):
        super().__init__()
        self.causal = causal
        self.stem = nn.Conv2d(3, 8, 3, 2, padding=1)
        self.filters = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=8) for _ in range(2))

    def frame_logits(self, clip):
        frames, x = clip.shape[1], self.stem(clip.flatten(0, 1))
        for convolve in self.filters:
            x = x + temporal_difference(convolve(x), x, frames, self.causal)
        return x.mean((2, 3)).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_network_is_exported_equal_to_pytorch(tmp_path, target, model, stream):
    torch.manual_seed(0)
    bundle = exported(tmp_path, Moving(causal=stream), target, stream=stream)
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert [state.shape for state in bundle.manifest.states] == ([(1, 9, 8, 8)] * 2 if stream else [])
    openvino_loads(bundle.path / model)


def test_a_network_that_looks_ahead_cannot_be_streamed(tmp_path):
    with pytest.raises(ExportError, match=r"looks into the future.*it compares a frame with the next one"):
        exported(tmp_path, Moving(causal=False), "cpu", stream=True)


def test_the_verifier_refuses_features_that_do_not_fit():
    graph = trace(Moving(causal=False).eval(), torch.zeros(1, 4, 3, 16, 16))
    verify(graph)
    node = next(node for node in graph.graph if node.op_type == "TemporalDifference")
    node.inputs[1].shape = ir.Shape((4, 7, 8, 8))
    with pytest.raises(ExportError, match="cannot be subtracted"):
        verify(graph)
