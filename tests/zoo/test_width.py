"""Narrow variants of networks."""

from __future__ import annotations

import pytest
import torch

import edgevid
from edgevid.errors import EdgevidError
from edgevid.zoo.layers.width import scale_channels


def test_channels_are_rounded_to_eights_and_never_below_nine_tenths():
    # MobileNetV2 at 0.35, as its authors publish it.
    stages = (32, 16, 24, 32, 64, 96, 160, 320)
    assert [scale_channels(channels, 0.35) for channels in stages] == [16, 8, 8, 16, 24, 32, 56, 112]
    assert scale_channels(33, 1.0) == 33


@pytest.mark.parametrize(
    ("name", "width", "parameters"),
    [
        # 1.95 million with 1000 classes (the authors' table); here 10, and a classifier of 1281 each.
        ("tsm_mbv2", 0.5, 1_968_680 - 1001 * 1281 + 10 * 1281 + 1281),
        ("stm_r50", 0.25, 1_499_411),
        ("action_mbv2", 0.35, None),
        ("pptsm_mbv2", 0.5, None),
    ],
)
def test_a_narrow_network_learns_with_all_its_parameters(name, width, parameters):
    network = edgevid.create_model(name, 10, 2, width=width)
    assert parameters in (None, sum(parameter.numel() for parameter in network.parameters()))
    network(torch.randn(1, 2, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_network_without_widths_says_so():
    with pytest.raises(EdgevidError, match="c3d has no option width"):
        edgevid.create_model("c3d", width=0.5)
    with pytest.raises(EdgevidError, match="a single width"):
        edgevid.create_model("action_bninception", width=0.5)
