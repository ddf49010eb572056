"""The temporal convolution has one meaning in torch, in ONNX, and frame by frame."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_op import (
    close,
    exported,
    lowered,
    obeys_torch,
    one_node_model,
    openvino_loads,
    present,
    run,
    tensors,
)
from torch import nn
from torch.nn import functional

from edgevid.errors import ExportError
from edgevid.exporter.trace import trace
from edgevid.ops.temporal_conv import Filters, cost, streaming_step, torch_op
from edgevid.passes.lower import lower
from edgevid.passes.verify import verify
from edgevid.zoo.layers.shift import temporal_shift
from edgevid.zoo.layers.temporal_conv import TemporalConv

pytestmark = pytest.mark.slow

temporal_conv = torch_op()


def reference(x, weight, bias, frames: int, causal: bool) -> np.ndarray:
    """The definition, one frame and tap at a time."""
    clips = x.reshape(-1, frames, *x.shape[1:])
    per_channel = (-1, *[1] * (x.ndim - 2))
    taps = weight.shape[1]
    y = np.zeros_like(clips)
    for frame in range(frames):
        for tap in range(taps):
            source = frame + tap - (taps - 1 if causal else taps // 2)
            if 0 <= source < frames:
                y[:, frame] += weight[:, tap].reshape(per_channel) * clips[:, source]
    return (y + (0 if bias is None else bias.reshape(per_channel))).reshape(x.shape)


@st.composite
def convolutions(draw):
    frames, clips, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 6))
    spatial = draw(st.sampled_from([(), (3,), (2, 3)]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    x = random.standard_normal((clips * frames, channels, *spatial), dtype=np.float32)
    weight = random.standard_normal((channels, draw(st.sampled_from([1, 3, 5, 7]))), dtype=np.float32)
    bias = random.standard_normal(channels, dtype=np.float32) if draw(st.booleans()) else None
    return x, weight, bias, frames, draw(st.booleans())


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_torch_op_convolves_as_defined(case):
    *arrays, frames, causal = case
    close(temporal_conv(*tensors(*arrays), frames, causal).numpy(), reference(*case))


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_onnx_function_convolves_as_defined(case):
    *arrays, frames, causal = case
    arrays = present(*arrays)
    (result,) = run(one_node_model("TemporalConv", arrays, frames=frames, causal=int(causal)), arrays)
    close(result, reference(*case))


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_streaming_a_causal_convolution_frame_by_frame_equals_the_clip(case):
    x, weight, bias, frames, _ = case
    clips = x.reshape(-1, frames, *x.shape[1:])
    step = streaming_step(Filters(frames, True, weight.shape), clips[:, 0].shape)
    if weight.shape[1] == 1:
        assert step is None, "one tap remembers nothing"
        return
    assert step.op_type == "TemporalConvStep"
    assert step.state_shape == (len(clips), (weight.shape[1] - 1) * x.shape[1], *x.shape[2:])
    state, weights = np.zeros(step.state_shape, np.float32), present(weight, bias)
    model = one_node_model(step.op_type, [clips[:, 0], state, *weights], outputs=2, **step.attributes)
    session = onnxruntime.InferenceSession(model)
    node_weights = {f"x{number}": array for number, array in enumerate(weights, 2)}
    pushed = []
    for frame in range(frames):
        now = np.ascontiguousarray(clips[:, frame])
        y, state = session.run(None, {"x0": now, "x1": state, **node_weights})
        pushed.append(y)
    close(np.stack(pushed, 1), reference(x, weight, bias, frames, True).reshape(clips.shape))


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_lowering_preserves_the_result_of_computed_weights_too(case):
    *arrays, frames, causal = case
    arrays = present(*arrays)
    model = one_node_model("TemporalConv", arrays, frames=frames, causal=int(causal))
    (result,) = run(lowered(model, "TemporalConv").SerializeToString(), arrays)
    close(result, reference(*case))


def test_one_clip_is_lowered_to_three_products_of_four_dimensional_slices():
    x, weight = np.ones((4, 6, 3, 3), np.float32), np.ones((6, 3), np.float32)
    graph = ir.from_proto(onnx.load_from_string(one_node_model("TemporalConv", [x], frames=4, causal=0)))
    node = next(iter(graph.graph))
    node.resize_inputs(2)
    node.replace_input_with(1, ir.Value(name="weight", shape=ir.Shape((6, 3)), const_value=ir.tensor(weight)))
    lower(graph, "TemporalConv")
    operators = [node.op_type for node in graph.graph]
    assert sorted(operators) == sorted(["Mul"] * 3 + ["Add"] * 2 + ["Slice", "Concat"] * 2)
    assert {len(node.outputs[0].shape) for node in graph.graph} == {4}


def test_the_verifier_refuses_weights_that_do_not_fit_and_an_absent_weight():
    graph = trace(Convolving("causal").eval(), torch.zeros(1, 4, 3, 16, 16))
    verify(graph)
    node = next(node for node in graph.graph if node.op_type == "TemporalConv")
    node.inputs[1].shape = ir.Shape((7, 3))
    with pytest.raises(ExportError, match=r"weights \(7, 3\) are not \(C, k\) for 8 channels"):
        verify(graph)
    node.resize_inputs(1)
    with pytest.raises(ExportError, match="lacks an input"):
        verify(graph)


def test_the_reference_is_the_grouped_conv1d_of_torch():
    x, weight = torch.randn(8, 5, 2, 3), torch.randn(5, 3)
    lines = x.unflatten(0, (2, 4)).permute(0, 3, 4, 2, 1).reshape(-1, 5, 4)
    lines = functional.conv1d(lines, weight[:, None], padding=1, groups=5)
    expected = lines.view(2, 2, 3, 5, 4).permute(0, 4, 3, 1, 2).reshape(x.shape)
    close(reference(x.numpy(), weight.numpy(), None, 4, False), expected.numpy())
    assert not np.allclose(reference(x.numpy(), weight.numpy(), None, 4, True), expected.numpy())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("frames", "taps"), [(3, 3), (2, 5)])
def test_gradient_is_right_and_the_op_passes_opcheck(causal, with_bias, frames, taps):
    def example(dtype):
        tensor = torch.randn(6, 4, 2, 2, dtype=dtype, requires_grad=True)
        weight = torch.randn(4, taps, dtype=dtype, requires_grad=True)
        return tensor, weight, torch.randn(4, dtype=dtype, requires_grad=True) if with_bias else None

    assert torch.autograd.gradcheck(lambda *t: temporal_conv(*t, frames, causal), example(torch.float64))
    obeys_torch(temporal_conv, (*example(torch.float32), frames, causal))


def test_gradients_of_gradients_are_right():
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda *t: temporal_conv(*t, None, 3, True), (x, weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_type_and_memory_format_are_kept(dtype):
    x = torch.randn(4, 6, 3, 3).to(dtype).contiguous(memory_format=torch.channels_last)
    y = temporal_conv(x, torch.randn(6, 3), torch.randn(6), 4, False)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_autocast_gives_the_type_of_the_input_and_trains_the_weights_in_theirs():
    weight = torch.randn(6, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert temporal_conv(torch.randn(4, 6, 3, 3), weight, None, 4, False).dtype == torch.float32
        y = temporal_conv(torch.randn(4, 6, 3, 3).bfloat16(), weight, None, 4, False)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert weight.grad.dtype == torch.float32


def test_fake_tensors_have_the_same_shape_and_strides():
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = torch.randn(4, 6, 3, 3).contiguous(memory_format=torch.channels_last)
    with FakeTensorMode() as mode:
        weight = mode.from_tensor(torch.randn(6, 3))
        y = temporal_conv(mode.from_tensor(x), weight, None, 4, False)
    assert y.shape == x.shape
    assert y.stride() == x.stride()


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "frames", "reason"),
    [
        ((4, 6), (6, 3), None, 3, "not clips of 3"),
        ((4, 6), (5, 3), None, 4, r"weights \(5, 3\) are not \(C, k\) for 6 channels"),
        ((4, 6), (6, 1, 3), None, 4, r"not \(C, k\)"),
        ((4, 6), (6, 4), None, 4, "4 taps have no center"),
        ((4, 6), (6, 3), (1,), 4, "does not fit 6 channels"),
        ((4,), (6, 3), None, 4, "not 1 dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(shape, weight, bias, frames, reason):
    bias = bias if bias is None else torch.zeros(bias)
    with pytest.raises(ValueError, match=reason):
        temporal_conv(torch.zeros(shape), torch.zeros(weight), bias, frames, False)


def test_a_convolution_that_looks_ahead_has_no_streaming_step():
    assert streaming_step(Filters(8, False, (16, 3)), (1, 16, 4, 4)) == "it reads the next frame"
    assert "the next 2 frames" in streaming_step(Filters(8, False, (16, 5)), (1, 16, 4, 4))


def test_it_costs_a_mac_per_tap_and_one_read_and_write_of_each_value():
    spent = cost(Filters(8, False, (16, 3), (16,)), (8, 16, 7, 7))
    assert spent.macs == 3 * 8 * 16 * 7 * 7
    assert spent.bytes_moved == (2 * 8 * 16 * 7 * 7 + 16 * 3 + 16) * 4


@pytest.mark.parametrize(("direction", "offsets"), [("bidirectional", (1, -1)), ("causal", (-1, 0))])
@pytest.mark.parametrize("taps", [3, 5])
def test_the_layer_starts_as_a_temporal_shift(direction, offsets, taps):
    x = torch.randn(8, 16, 3, 3)
    layer = TemporalConv(16, taps, direction)
    torch.testing.assert_close(layer(x, 4), temporal_shift(x, 4, 2, *offsets), rtol=0, atol=0)
    assert [(name, p.shape) for name, p in layer.named_parameters()] == [("weight", (16, 1, taps))]


class Convolving(nn.Module):
    """Two temporal convolutions with a convolution between them."""

    def __init__(self, direction: str):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, padding=1)
        self.first, self.second = TemporalConv(8, 3, direction), TemporalConv(8, 5, direction, bias=True)
        self.between = nn.Conv2d(8, 8, 1)
        for parameter in (*self.first.parameters(), *self.second.parameters()):
            nn.init.normal_(parameter)

    def frame_logits(self, clip):
        frames = clip.shape[1]
        x = self.first(torch.relu(self.stem(clip.flatten(0, 1))), frames)
        x = self.second(torch.relu(self.between(x)), frames)
        return x.mean((2, 3)).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_network_is_exported_equal_to_pytorch(tmp_path, target, model, stream):
    torch.manual_seed(0)
    bundle = exported(tmp_path, Convolving("causal" if stream else "bidirectional"), target, stream=stream)
    assert bundle.manifest.parity.ok
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    frames = 1 if stream else 4
    taps_and_channels = 8 * 3 * 9 + 8 * 3 + 8 * 8 + 8 * 5
    assert bundle.manifest.macs == frames * 8 * 8 * taps_and_channels
    assert [state.shape for state in bundle.manifest.states] == (
        [(1, 16, 8, 8), (1, 32, 8, 8)] if stream else []
    )
    openvino_loads(bundle.path / model)


def test_the_network_with_convolutions_as_nodes_says_so(tmp_path):
    bundle = exported(tmp_path, Convolving("bidirectional"), "cpu")
    assert bundle.manifest.kernels == ("TemporalConv (portable function) x2",)
