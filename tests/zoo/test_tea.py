"""TEA is put together from its layers: motion excitation, convolutions over time, a Res2Net's groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgevid.zoo.layers.excitation import MotionExcitation, SqueezeExcitation
from edgevid.zoo.tea.network import TEABlock

pytestmark = pytest.mark.slow


def test_motion_excitation_adds_the_features_times_half_a_gate_less():
    layer = MotionExcitation(32).eval()
    nn.init.uniform_(layer.bn.bias, -1, 1)
    x = torch.randn(4, 32, 5, 5)
    with torch.no_grad():
        reduced = layer.features.bn(layer.features.squeeze(x))
        motion = torch.zeros_like(reduced)
        motion[:-1] = layer.features.conv(reduced)[1:] - reduced[:-1]
        gate = torch.sigmoid(layer.bn(layer.expand(functional.adaptive_avg_pool2d(motion, 1)))) - 0.5
        torch.testing.assert_close(layer(x, 4), x + x * gate)


def test_squeeze_and_excitation_weighs_channels_by_their_means():
    layer = SqueezeExcitation(32, reduction=8)
    x = torch.randn(3, 32, 4, 4)
    hidden = functional.relu(
        functional.linear(x.mean((2, 3)), layer.squeeze.weight.flatten(1), layer.squeeze.bias)
    )
    gate = torch.sigmoid(functional.linear(hidden, layer.expand.weight.flatten(1), layer.expand.bias))
    torch.testing.assert_close(layer(x), x * gate[:, :, None, None])


@pytest.mark.parametrize(("inputs", "stride"), [(256, 1), (64, 1), (64, 2)])
def test_a_block_sums_groups_only_where_a_stage_goes_on(inputs, stride):
    block = TEABlock(inputs, 64, stride, direction="bidirectional").eval()
    width = 26
    x = torch.randn(3, 4 * width, 8, 8, requires_grad=True)
    groups = block._aggregate(x.split(width, 1), 3)
    assert [group.shape[1:] for group in groups] == [(width, 8 // stride, 8 // stride)] * 4
    groups[2].sum().backward()
    reads = [bool(part.any()) for part in x.grad.split(width, 1)]
    assert reads == ([True, True, True, False] if inputs == 256 else [False, False, True, False])


def test_all_but_the_last_group_start_without_a_shift():
    block = TEABlock(256, 64, 1, direction="bidirectional")
    x = torch.randn(4, 26, 3, 3)
    with torch.no_grad():
        assert all(torch.equal(layer(x, 4), x) for layer in block.over_time[:3])
        moved = block.over_time[3](x, 4)
    assert torch.equal(moved[:-1, :13], x[1:, :13])
    assert torch.equal(moved[1:, 13:], x[:-1, 13:])
