"""The channel convolution without shared weights means the same in torch, in ONNX and in an export."""

from __future__ import annotations

import numpy as np
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

from edgevid.ops.channel_conv import torch_op as shared_op
from edgevid.ops.unshared_channel_conv import Filters, cost, streaming_step, torch_op

pytestmark = pytest.mark.slow

unshared = torch_op()
NAMES = "stride", "pad_begin", "pad_end"


def reference(x, weight, bias, stride: int, pad_begin: int, pad_end: int) -> np.ndarray:
    """The definition, one result channel and tap at a time."""
    padded = np.pad(x, [(0, 0), (pad_begin, pad_end), *[(0, 0)] * (x.ndim - 2)])
    groups = []
    for number, taps in enumerate(weight):
        for step in range(weight.shape[2]):
            y = sum(row[step] * padded[:, step * stride + position] for position, row in enumerate(taps))
            groups.append(y + (0 if bias is None else bias[number, step]))
    return np.stack(groups, 1)


@st.composite
def convolutions(draw):
    images, channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    spatial = draw(st.sampled_from([(), (3,), (2, 3)]))
    stride, pad_begin, pad_end = draw(st.integers(1, 4)), draw(st.integers(0, 3)), draw(st.integers(0, 3))
    taps = draw(st.integers(1, min(8, pad_begin + channels + pad_end)))
    steps = (pad_begin + channels + pad_end - taps) // stride + 1
    random = np.random.default_rng(draw(st.integers(0, 99)))
    x = random.standard_normal((images, channels, *spatial), dtype=np.float32)
    weight = random.standard_normal((filters, taps, steps), dtype=np.float32)
    bias = random.standard_normal((filters, steps), dtype=np.float32) if draw(st.booleans()) else None
    return x, weight, bias, stride, pad_begin, pad_end


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_torch_op_convolves_as_defined(case):
    x, weight, bias, *attributes = case
    close(unshared(*tensors(x, weight, bias), *attributes).numpy(), reference(*case))


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_onnx_function_and_its_lowered_form_convolve_as_defined(case):
    x, weight, bias, *attributes = case
    arrays = present(x, weight, bias)
    model = one_node_model("UnsharedChannelConv", arrays, **dict(zip(NAMES, attributes)))
    close(run(model, arrays)[0], reference(*case))
    close(run(lowered(model, "UnsharedChannelConv").SerializeToString(), arrays)[0], reference(*case))


def test_equal_weights_at_every_step_are_shared_weights():
    x, weight, bias = torch.randn(2, 9, 3, 3), torch.randn(2, 4), torch.randn(2)
    steps = 5
    own = weight[..., None].repeat(1, 1, steps), bias[:, None].repeat(1, steps)
    torch.testing.assert_close(unshared(x, *own, 2, 1, 2), shared_op()(x, weight, bias, 2, 1, 2))


@pytest.mark.parametrize(
    ("attributes", "steps", "with_bias"), [((1, 0, 0), 4, False), ((2, 1, 2), 4, True), ((3, 2, 0), 2, True)]
)
def test_gradient_is_right_and_the_op_passes_opcheck(attributes, steps, with_bias):
    def example(dtype):
        tensor = torch.randn(2, 7, 2, 2, dtype=dtype, requires_grad=True)
        weight = torch.randn(3, 4, steps, dtype=dtype, requires_grad=True)
        bias = torch.randn(3, steps, dtype=dtype, requires_grad=True) if with_bias else None
        return tensor, weight, bias

    assert torch.autograd.gradcheck(lambda *t: unshared(*t, *attributes), example(torch.float64))
    obeys_torch(unshared, (*example(torch.float32), *attributes))


def test_autocast_gives_the_type_of_the_input_and_trains_the_weights_in_theirs():
    weight, bias = torch.randn(2, 3, 6, requires_grad=True), torch.randn(2, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert unshared(torch.randn(1, 6, 3, 3), weight, bias, 1, 1, 1).dtype == torch.float32
        y = unshared(torch.randn(1, 6, 3, 3).bfloat16(), weight, bias, 1, 1, 1)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert weight.grad.dtype == bias.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "weight", "bias", "attributes", "reason"),
    [
        ((1, 6), (2, 9, 1), None, (1, 1, 1), "9 taps do not fit in 8 channels"),
        ((1, 6), (2, 3, 5), None, (1, 1, 1), "weights for 5 steps do not fit 6 of them"),
        ((1, 6), (2, 3, 6), None, (0, 1, 1), "stride 0 must be at least 1"),
        ((1, 6), (2, 3), None, (1, 1, 1), r"not \(filters, taps, steps\)"),
        ((1, 6), (2, 3, 6), (2,), (1, 1, 1), "does not fit 2 filters of 6 steps"),
        ((6,), (2, 3, 6), None, (1, 1, 1), "not 1 dimensions"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(shape, weight, bias, attributes, reason):
    bias = bias if bias is None else torch.zeros(bias)
    with pytest.raises(ValueError, match=reason):
        unshared(torch.zeros(shape), torch.zeros(weight), bias, *attributes)


def test_it_has_no_state_and_the_cost_of_shared_weights_except_for_their_bytes():
    filters = Filters(1, 0, 0, (1, 25, 1000), (1, 1000))
    assert streaming_step(filters, (1, 1024)) is None
    spent = cost(filters, (1, 1024))
    assert spent.macs == 25 * 1000
    assert spent.bytes_moved == (1024 + 1000 + 25 * 1000 + 1000) * 4


class Classifier(nn.Module):
    """A stem, and a classification layer with weights of its own for each of 9 classes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, padding=1)
        self.weight, self.bias = nn.Parameter(torch.randn(1, 8, 9)), nn.Parameter(torch.randn(1, 9))

    def forward(self, clip):
        x = torch.relu(self.stem(clip.flatten(0, 1))).mean((2, 3))
        logits = unshared(x, self.weight, self.bias, 1, 0, 0)
        return logits.unflatten(0, clip.shape[:2]).mean(1)


@pytest.mark.parametrize(("target", "model"), [("cpu", "model.onnx"), ("jetson", "model_fp32.onnx")])
def test_a_network_is_exported_equal_to_pytorch(tmp_path, target, model):
    torch.manual_seed(0)
    bundle = exported(tmp_path, Classifier(), target)
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert bundle.manifest.macs == 4 * (64 * 16 * 27 + 9 * 8)
    openvino_loads(bundle.path / model)
