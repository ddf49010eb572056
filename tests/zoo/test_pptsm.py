"""PP-TSM equals PaddleVideo's networks, whose passes are written out by the names in their checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from official import reference
from torch.nn import functional as F

import edgevid
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.pptsm.lcnet_v2 import SummedDepthwise, UnscaledDropout

pytestmark = pytest.mark.slow


class Paddle:
    """A checkpoint's layers, by Paddle's names, and Paddle's ``temporal_shift``."""

    def __init__(self, state: dict, frames: int) -> None:
        self.state, self.frames = {name: tensor.double() for name, tensor in state.items()}, frames

    def convolve(self, x, name, stride=1, groups=1, bias=None):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def conv_bn(self, x, convolution, norm, stride=1, depthwise=False):
        y = self.convolve(x, convolution, stride, x.shape[1] if depthwise else 1)
        values = (self.state[f"{norm}.{part}"] for part in ("_mean", "_variance", "weight", "bias"))
        return F.batch_norm(y, *values, eps=1e-5)

    def shift(self, x):
        clips = x.unflatten(0, (-1, self.frames))
        fold, end = x.shape[1] // self.frames, 2 * x.shape[1] // self.frames
        moved = clips.clone()
        moved[:, :, :end] = 0
        moved[:, 1:, :fold] = clips[:, :-1, :fold]
        moved[:, :-1, fold:end] = clips[:, 1:, fold:end]
        return moved.flatten(0, 1)

    def linear(self, x, name):
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]


def mobilenet_v2(net: Paddle, clip: torch.Tensor) -> torch.Tensor:
    x = F.relu6(net.conv_bn(clip.flatten(0, 1), "backbone.conv1._conv", "backbone.conv1._batch_norm", 2))
    for stage, (count, stride) in enumerate(zip((1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1)), 2):
        for index in range(count):
            block = f"backbone.conv{stage}." + ("_first_block" if index == 0 else f"conv{stage}_{index + 1}")
            parts = [f"{block}._{part}_conv" for part in ("expand", "bottleneck", "linear")]
            expand, deep, thin = ((f"{part}._conv", f"{part}._batch_norm") for part in parts)
            y = F.relu6(net.conv_bn(net.shift(x) if index else x, *expand))
            y = F.relu6(net.conv_bn(y, *deep, stride if index == 0 else 1, depthwise=True))
            y = net.conv_bn(y, *thin)
            x = x + y if index else y
    x = F.relu6(net.conv_bn(x, "backbone.conv9._conv", "backbone.conv9._batch_norm"))
    return net.linear(x.mean((2, 3)).unflatten(0, clip.shape[:2]).mean(1), "backbone.out")


def lcnet_v2(net: Paddle, clip: torch.Tensor) -> torch.Tensor:
    def conv_bn(x, name, stride=1, depthwise=False):
        return net.conv_bn(x, f"{name}.conv", f"{name}.bn", stride, depthwise)

    def block(x, name, stride):
        if f"{name}.dw_conv.weight" in net.state:
            branches = [part for part in range(3) if f"{name}.dw_conv_list.{part}.conv.weight" in net.state]
            y = sum(conv_bn(x, f"{name}.dw_conv_list.{part}", stride, True) for part in branches)
        else:
            y = conv_bn(x, f"{name}.dw_conv", stride, True)
        y = F.relu(y)
        if f"{name}.se.conv1.weight" in net.state:
            gate = net.convolve(
                y.mean((2, 3), True), f"{name}.se.conv1", bias=net.state[f"{name}.se.conv1.bias"]
            )
            gate = net.convolve(F.relu(gate), f"{name}.se.conv2", bias=net.state[f"{name}.se.conv2.bias"])
            y = y * torch.sigmoid(gate)
        for part in ("pw_conv", "pw_conv_1", "pw_conv_2"):
            if f"{name}.{part}.conv.weight" in net.state:
                y = F.relu(conv_bn(y, f"{name}.{part}"))
        return x + y if name == "backbone.stages.3.1" else y

    x = F.relu(conv_bn(clip.flatten(0, 1), "backbone.stem.0", 2))
    x = block(x, "backbone.stem.1", 1)
    for stage, count in enumerate((2, 2, 6, 2)):
        x = net.shift(x) if stage == 2 else x
        for index in range(count):
            x = block(x, f"backbone.stages.{stage}.{index}", 2 if index == 0 else 1)
    x = F.relu(net.convolve(x.mean((2, 3), True), "backbone.last_conv")).flatten(1) * 0.8
    return net.linear(x.unflatten(0, clip.shape[:2]).mean(1), "backbone.fc")


def resnet_vd(net: Paddle, clip: torch.Tensor) -> torch.Tensor:
    def conv_bn(x, name, stride=1):
        return net.conv_bn(x, f"backbone.{name}._conv", f"backbone.{name}._batch_norm", stride)

    x = clip.flatten(0, 1)
    for part in (1, 2, 3):
        x = F.leaky_relu(conv_bn(x, f"conv1_{part}", 2 if part == 1 else 1))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(4):
        index = 0
        while f"backbone.bb_{stage}_{index}.conv0._conv.weight" in net.state:
            name, stride = f"bb_{stage}_{index}", 2 if index == 0 and stage else 1
            y = F.leaky_relu(conv_bn(net.shift(x), f"{name}.conv0"))
            y = conv_bn(F.leaky_relu(conv_bn(y, f"{name}.conv1", stride)), f"{name}.conv2")
            if index == 0:
                x = conv_bn(F.avg_pool2d(x, 2, 2, ceil_mode=True) if stage else x, f"{name}.short")
            x, index = F.leaky_relu(x + y), index + 1
    return net.linear(x.mean((2, 3)).unflatten(0, clip.shape[:2]).mean(1), "head.fc")


CASES = [
    ("pptsm_r50vd_8f", "pptsm_r50vd", resnet_vd),
    ("pptsm_r101vd_8f", "pptsm_r101vd", resnet_vd),
    ("pptsm_mv2_8f", "pptsm_mbv2", mobilenet_v2),
    ("pptsm_v2_lcnet_8f", "pptsm_lcnet_v2", lcnet_v2),
]


@pytest.mark.parametrize(("case", "model", "forward"), CASES)
@torch.no_grad()
def test_the_network_computes_what_paddlevideo_does(case, model, forward):
    state = reference(case).state
    network = edgevid.load_weights(edgevid.create_model(model, frames=4), state).double().eval()
    torch.manual_seed(0)
    clip = torch.randn(2, 4, 3, 64, 64, dtype=torch.float64)
    expected = forward(Paddle(state, 4), clip)
    assert (network(clip) - expected).abs().max() < 1e-9 * expected.std()
    # TSM's direction, the first fold from the next frame, gives other logits: the comparison can fail.
    for module in network.modules():
        if isinstance(module, TemporalShift):
            module.direction = "bidirectional"
    assert (network(clip) - expected).abs().max() > 1e-4 * expected.std()


@torch.no_grad()
def test_frames_that_do_not_divide_the_channels_are_shifted_as_paddle_does():
    state = reference("pptsm_mv2_8f").state
    network = edgevid.load_weights(edgevid.create_model("pptsm_mbv2", frames=7), state).double().eval()
    torch.manual_seed(0)
    clip = torch.randn(1, 7, 3, 32, 32, dtype=torch.float64)
    expected = mobilenet_v2(Paddle(state, 7), clip)
    assert (network(clip) - expected).abs().max() < 1e-9 * expected.std()


@pytest.mark.parametrize(
    ("channels", "frames", "past", "future"),
    [(24, 8, 3, 3), (24, 16, 1, 2), (96, 10, 9, 10), (32, 7, 4, 5), (8, 12, 0, 1), (8, 17, 0, 0)],
)
def test_folds_have_the_channels_that_paddles_operator_moves(channels, frames, past, future):
    """Counted with Paddle 3.3.1 as the zeros in the first and the last frame of shifted ones."""
    ones = torch.ones(frames, channels, 1, 1)
    shifted = TemporalShift("past-first", frames)(ones, frames)[:, :, 0, 0]
    assert (shifted[0] == 0).nonzero().flatten().tolist() == list(range(past))
    assert (shifted[-1] == 0).nonzero().flatten().tolist() == list(range(past, past + future))


@torch.no_grad()
def test_resnet_50_vd_meets_the_logits_of_paddlevideo():
    case = reference("pptsm_r50vd_8f")
    network = edgevid.load_weights(edgevid.create_model("pptsm_r50vd"), case.state).eval()
    actual = network(case.clip).numpy().ravel()
    assert np.abs(actual - case.logits).max() < 2e-5 * case.logits.std()


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("pptsm_r50vd", 24_346_864),
        ("pptsm_r101vd", 43_338_992),
        ("pptsm_mbv2", 2_737_360),
        ("pptsm_lcnet_v2", 6_031_760),
    ],
)
def test_parameters_are_those_that_paddlevideo_trains(model, parameters):
    assert sum(parameter.numel() for parameter in edgevid.create_model(model).parameters()) == parameters


def test_a_fold_is_one_over_the_number_of_frames():
    for frames in (8, 16):
        network = edgevid.create_model("pptsm_r50vd", frames=frames)
        divisors = {m.shift_div for m in network.modules() if isinstance(m, TemporalShift)}
        assert divisors == {frames}


@torch.no_grad()
def test_summed_convolutions_become_one_in_evaluation():
    summed = SummedDepthwise(6, 5, 1)
    for _, norm in summed.branches:
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 1.5)
        norm.weight.normal_()
        norm.bias.normal_()
    x = torch.randn(2, 6, 9, 9)
    expected = sum(convolution_and_norm.eval()(x) for convolution_and_norm in summed.branches)
    torch.testing.assert_close(summed.eval()(x), expected, rtol=1e-4, atol=1e-5)
    loaded = SummedDepthwise(6, 5, 1).eval()
    loaded.load_state_dict(summed.state_dict())
    torch.testing.assert_close(loaded(x), summed(x))


def test_summed_convolutions_are_trained_separately():
    summed = SummedDepthwise(4, 5, 1).train()
    summed(torch.randn(2, 4, 6, 6)).sum().backward()
    assert all(convolution.weight.grad is not None for convolution, _ in summed.branches)
    assert summed.merged.weight.grad is None


def test_unscaled_dropout_scales_in_evaluation():
    dropout = UnscaledDropout(0.2)
    ones = torch.ones(20000)
    assert torch.equal(dropout.eval()(ones), ones * 0.8)
    dropped = dropout.train()(ones)
    assert set(dropped.unique().tolist()) == {0, 1}
    assert abs(float(dropped.mean()) - 0.8) < 0.02
