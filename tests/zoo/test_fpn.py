"""The feature pyramid is that of the paper, over what TSM sees."""

from __future__ import annotations

import pytest
import torch
from official import names_and_shapes, reference, zeros_of
from torch.nn.functional import conv2d

import edgevid
from edgevid.errors import WeightsError
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.tsm.fpn import FeaturePyramid

pytestmark = pytest.mark.slow


def stages(size: int = 32) -> list[torch.Tensor]:
    return [torch.randn(2, 256 << stage, size >> stage, size >> stage) for stage in range(4)]


@torch.no_grad()
def test_the_pyramid_sums_from_the_coarsest_stage_on():
    pyramid, features = FeaturePyramid(), stages()
    levels = pyramid(features)
    assert list(levels) == ["p2", "p3", "p4", "p5", "p6"]
    assert [x.shape[-1] for x in levels.values()] == [32, 16, 8, 4, 2]
    assert {x.shape[1] for x in levels.values()} == {256}
    above = None
    for level in (3, 2, 1, 0):
        lateral, smooth = pyramid.laterals[level], pyramid.smooth[level]
        x = conv2d(features[level], lateral.weight, lateral.bias)
        if above is not None:
            x = x + above.repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(levels[f"p{level + 2}"], conv2d(x, smooth.weight, smooth.bias, padding=1))
        above = x
    assert torch.equal(levels["p6"], levels["p5"][:, :, ::2, ::2])


@torch.no_grad()
def test_a_size_that_halves_to_odd_numbers_is_enlarged_to_the_next_stage():
    sizes = [(25, 15), (13, 8), (7, 4), (4, 2)]
    features = [torch.randn(1, 256 << stage, *size) for stage, size in enumerate(sizes)]
    assert [tuple(x.shape[-2:]) for x in FeaturePyramid()(features).values()] == [*sizes, (2, 1)]


@torch.no_grad()
def test_the_network_gives_a_pyramid_for_each_frame():
    network = edgevid.create_model("tsm_r50_fpn").eval()
    levels = network(torch.randn(2, 3, 3, 64, 64))
    assert {name: tuple(x.shape) for name, x in levels.items()} == {
        "p2": (6, 256, 16, 16),
        "p3": (6, 256, 8, 8),
        "p4": (6, 256, 4, 4),
        "p5": (6, 256, 2, 2),
        "p6": (6, 256, 1, 1),
    }
    assert sum(isinstance(module, TemporalShift) for module in network.modules()) == 16


def test_the_backbone_takes_the_weights_of_tsm(caplog):
    state = reference("tsm_r50_8f_kinetics").state
    network = edgevid.load_weights(edgevid.create_model("tsm_r50_fpn"), state)
    released = state["module.base_model.layer4.0.conv1.net.weight"]
    assert torch.equal(network.backbone.layer4[0].conv1.weight, released)
    assert "TSM fills the backbone; untrained are pyramid.laterals.0" in caplog.text


def test_a_pyramid_network_does_not_take_the_weights_of_another_backbone():
    with pytest.raises(WeightsError, match="is unknown"):
        edgevid.load_weights(
            edgevid.create_model("tsm_r50_fpn"), zeros_of(names_and_shapes("tsm_r101_8f_something"))
        )
