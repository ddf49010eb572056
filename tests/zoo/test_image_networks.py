"""MobileNet, ShuffleNet and the flattened convolution are those of their papers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import edgevid
from edgevid.errors import EdgevidError
from edgevid.exporter.measure import measure
from edgevid.zoo.layers.flattened import FlattenedConv2d
from edgevid.zoo.shufflenet_v1.network import shuffle

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("model", "options", "parameters", "macs"),
    [
        # Howard et al., table 6: 4.2, 2.6, 1.3 and 0.5 M parameters, 569, 325, 149 and 41 M MACs
        ("mobilenet_v1", {}, 4_231_976, 568_740_352),
        ("mobilenet_v1", {"width": 0.75}, 2_585_560, 325_400_448),
        ("mobilenet_v1", {"width": 0.5}, 1_331_592, 149_497_088),
        ("mobilenet_v1", {"width": 0.25}, 470_072, 41_030_272),
        # Zhang et al., table 1: complexity 143, 140, 137, 133 and 137 M for 1 to 8 groups
        ("shufflenet_v1", {"groups": 1}, 1_531_936, 143_078_976),
        ("shufflenet_v1", {"groups": 2}, 1_733_848, 140_836_512),
        ("shufflenet_v1", {}, 1_865_728, 137_460_672),
        ("shufflenet_v1", {"groups": 4}, 1_968_344, 134_339_776),
        ("shufflenet_v1", {"groups": 8}, 2_434_768, 138_365_952),
    ],
)
def test_parameters_and_macs_are_those_of_the_paper(model, options, parameters, macs):
    measured = measure(model, **options)
    assert (measured.parameters, measured.macs) == (parameters, macs)


def test_a_shuffle_takes_one_channel_of_each_group_in_turn():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert shuffle(x, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]


@torch.no_grad()
def test_a_strided_unit_of_shufflenet_begins_with_its_pooled_input():
    unit = edgevid.create_model("shufflenet_v1").eval().stages[1][0]
    x = torch.rand(1, 240, 8, 8)
    torch.testing.assert_close(unit(x)[:, :240], functional.avg_pool2d(x, 3, 2, padding=1))
    assert unit(x).shape == (1, 480, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_a_flattened_convolution_is_one_with_outer_products_for_filters(stride):
    layer = FlattenedConv2d(4, 6, 3, stride)
    x = torch.randn(2, 4, 9, 8)
    filters = torch.einsum(
        "oc,oy,ox->ocyx",
        layer.channel.weight[:, :, 0, 0],
        layer.vertical.weight[:, 0, :, 0],
        layer.horizontal.weight[:, 0, 0],
    )
    expected = functional.conv2d(x, filters, layer.horizontal.bias, stride, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    weights = sum(parameter.numel() for name, parameter in layer.named_parameters() if "bias" not in name)
    assert weights == 6 * (4 + 3 + 3)


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        ("shufflenet_v1", {"groups": 5}, "defined for 1, 2, 3, 4, 8 groups, not 5"),
        ("mobilenet_v1", {"width": 0.01}, "leaves no channels"),
    ],
)
def test_invalid_options_are_refused(model, options, reason):
    with pytest.raises(EdgevidError, match=reason):
        edgevid.create_model(model, **options)
