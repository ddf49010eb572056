"""The channel convolution has one meaning in torch, in ONNX and in an exported network."""

from __future__ import annotations

import numpy as np
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

from edgevid.ops.channel_conv import Filters, cost, streaming_step, torch_op

pytestmark = pytest.mark.slow

channel_conv = torch_op()


def reference(x, weight, bias, stride: int, pad_begin: int, pad_end: int) -> np.ndarray:
    """The definition, one result channel and tap at a time."""
    padded = np.pad(x, [(0, 0), (pad_begin, pad_end), *[(0, 0)] * (x.ndim - 2)])
    groups = []
    for number, taps in enumerate(weight):
        for start in range(0, padded.shape[1] - len(taps) + 1, stride):
            y = sum(tap * padded[:, start + position] for position, tap in enumerate(taps))
            groups.append(y + (0 if bias is None else bias[number]))
    return np.stack(groups, 1)


@st.composite
def convolutions(draw):
    images, channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    spatial = draw(st.sampled_from([(), (3,), (2, 3)]))
    stride, pad_begin, pad_end = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(0, 3))
    taps = draw(st.integers(1, min(8, pad_begin + channels + pad_end)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    x = random.standard_normal((images, channels, *spatial), dtype=np.float32)
    weight = random.standard_normal((filters, taps), dtype=np.float32)
    bias = random.standard_normal(filters, dtype=np.float32) if draw(st.booleans()) else None
    return x, weight, bias, stride, pad_begin, pad_end


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_torch_op_convolves_as_defined(case):
    x, weight, bias, *attributes = case
    close(channel_conv(*tensors(x, weight, bias), *attributes).numpy(), reference(*case))


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_onnx_function_convolves_as_defined(case):
    x, weight, bias, stride, pad_begin, pad_end = case
    arrays = present(x, weight, bias)
    model = one_node_model("ChannelConv", arrays, stride=stride, pad_begin=pad_begin, pad_end=pad_end)
    close(run(model, arrays)[0], reference(*case))


@given(convolutions())
@settings(max_examples=30, deadline=None)
def test_lowering_preserves_the_result_of_computed_weights_too(case):
    x, weight, bias, stride, pad_begin, pad_end = case
    arrays = present(x, weight, bias)
    model = one_node_model("ChannelConv", arrays, stride=stride, pad_begin=pad_begin, pad_end=pad_end)
    close(run(lowered(model, "ChannelConv").SerializeToString(), arrays)[0], reference(*case))


def test_each_filter_gives_a_group_of_the_result():
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    weight = np.array([[1, 0], [0, 10]], np.float32)
    assert reference(x, weight, None, 2, 0, 0).tolist() == [[0, 2, 10, 30]]


@pytest.mark.parametrize(
    ("attributes", "with_bias"), [((1, 0, 0), False), ((2, 1, 2), True), ((3, 2, 0), True)]
)
def test_gradient_is_right_and_the_op_passes_opcheck(attributes, with_bias):
    def example(dtype):
        tensor = torch.randn(2, 7, 2, 2, dtype=dtype, requires_grad=True)
        weight = torch.randn(3, 4, dtype=dtype, requires_grad=True)
        return tensor, weight, torch.randn(3, dtype=dtype, requires_grad=True) if with_bias else None

    assert torch.autograd.gradcheck(lambda *t: channel_conv(*t, *attributes), example(torch.float64))
    obeys_torch(channel_conv, (*example(torch.float32), *attributes))


def test_autocast_gives_the_type_of_the_input_and_trains_the_weights_in_theirs():
    weight, bias = torch.randn(2, 3, requires_grad=True), torch.randn(2, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert channel_conv(torch.randn(1, 6, 3, 3), weight, bias, 1, 1, 1).dtype == torch.float32
        y = channel_conv(torch.randn(1, 6, 3, 3).bfloat16(), weight, bias, 1, 1, 1)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert weight.grad.dtype == bias.grad.dtype == torch.float32


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_fake_tensors_have_the_same_shape_and_strides(memory_format):
    from torch._subclasses.fake_tensor import FakeTensorMode

    x, weight = torch.randn(2, 6, 3, 4).contiguous(memory_format=memory_format), torch.randn(2, 3)
    real = channel_conv(x, weight, None, 2, 1, 0)
    with FakeTensorMode() as mode:
        fake = channel_conv(mode.from_tensor(x), mode.from_tensor(weight), None, 2, 1, 0)
    assert fake.shape == real.shape == (2, 6, 3, 4)
    assert fake.stride() == real.stride()


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "attributes", "reason"),
    [
        ((1, 6), (2, 9), None, (1, 1, 1), "9 taps do not fit in 8 channels"),
        ((1, 6), (2, 3), None, (0, 1, 1), "stride 0 must be at least 1"),
        ((1, 6), (2, 3), None, (1, -1, 1), r"padding \(-1, 1\) at least 0"),
        ((1, 6), (2, 1, 3), None, (1, 1, 1), r"not \(filters, taps\)"),
        ((1, 6), (2, 3), (3,), (1, 1, 1), "does not fit 2 filters"),
        ((6,), (2, 3), None, (1, 1, 1), "not 1 dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(shape, weight, bias, attributes, reason):
    bias = bias if bias is None else torch.zeros(bias)
    with pytest.raises(ValueError, match=reason):
        channel_conv(torch.zeros(shape), torch.zeros(weight), bias, *attributes)


def test_it_has_no_state():
    assert streaming_step(Filters(1, 1, 1, (1, 3)), (1, 16, 4, 4)) is None


def test_it_costs_a_mac_per_tap_and_output():
    spent = cost(Filters(2, 3, 3, (2, 8), (2,)), (1, 512, 14, 14))
    assert spent.macs == 8 * 512 * 14 * 14
    assert spent.bytes_moved == (2 * 512 * 14 * 14 + 2 * 8 + 2) * 4


class ChannelNet(nn.Module):
    """A group convolution of stride 2, a "same" one, and a classification layer along the channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, padding=1)
        self.group, self.same = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.randn(1, 6))
        self.classify, self.bias = nn.Parameter(torch.randn(1, 7)), nn.Parameter(torch.randn(2))

    def frame_logits(self, clip):
        x = torch.relu(self.stem(clip.flatten(0, 1)))
        x = torch.relu(channel_conv(x, self.group, self.bias, 2, 3, 3))
        x = channel_conv(x, self.same, None, 1, 2, 3)
        logits = channel_conv(x.mean((2, 3), keepdim=True), self.classify, None, 1, 0, 0)
        return logits.flatten(1).unflatten(0, clip.shape[:2])

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_network_is_exported_equal_to_pytorch(tmp_path, target, model, stream):
    torch.manual_seed(0)
    bundle = exported(tmp_path, ChannelNet(), target, stream=stream)
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert bundle.manifest.states == ()
    assert bundle.manifest.macs == (1 if stream else 4) * (64 * 16 * (27 + 8 + 6) + 10 * 7)
    (kernels,) = bundle.manifest.kernels
    assert kernels.startswith("ChannelConv")
    openvino_loads(bundle.path / model)


def test_a_plain_runtime_accepts_a_node_without_bias():
    x, weight = np.ones((1, 4, 2, 2), np.float32), np.ones((1, 3), np.float32)
    model = one_node_model("ChannelConv", [x, weight], stride=1, pad_begin=1, pad_end=1)
    session = onnxruntime.InferenceSession(model)
    assert session.run(None, {"x0": x, "x1": weight})[0][0, :, 0, 0].tolist() == [2, 3, 3, 2]
