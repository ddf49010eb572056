"""STM computes what its authors' code does, and its causal variant reads only the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from official import reference
from torch import nn
from torch.nn import functional

import edgevid
from edgevid.errors import ExportError
from edgevid.exporter.measure import measure
from edgevid.zoo.layers.motion import MotionFeatures
from edgevid.zoo.stm.network import STMBlock

pytestmark = pytest.mark.slow


def test_stm_gives_the_logits_of_its_authors():
    case = reference("stm_r50_8f_174")
    network = edgevid.load_weights(edgevid.create_model("stm_r50", num_classes=174), case.state).eval()
    with torch.no_grad():
        logits = network(case.clip)[0].numpy()
    assert np.abs(logits - case.logits).max() <= 2e-5 * case.logits.std()


def test_a_checkpoint_of_sixteen_frames_fills_stm_and_no_other_network():
    state = reference("stm_r50_16f_174").state
    network = edgevid.create_model("stm_r50", num_classes=174, frames=16)
    edgevid.load_weights(network, state)
    theirs = state["layer3.1.mb.shift.weight"]
    assert torch.equal(network.backbone.layer3[1].motion.features.conv.weight, theirs)
    with pytest.raises(edgevid.errors.WeightsError, match="not the weights of this network"):
        edgevid.load_weights(edgevid.create_model("tsm_r50", num_classes=174), state)


@pytest.mark.parametrize("name", ["stm_r50", "stm_r50_online"])
def test_size_and_macs_are_those_of_the_paper(name):
    facts = measure(name, num_classes=174)
    assert facts.parameters == 24_035_666
    # The paper prints 33.3 G and does not state what it counts besides convolutions and the classifier.
    assert facts.macs == pytest.approx(33.3e9, rel=0.01)


def test_motion_is_the_next_frame_convolved_minus_this_frame():
    features = MotionFeatures(32).eval()
    x = torch.randn(2 * 4, 32, 5, 6)
    with torch.no_grad():
        reduced = features.bn(functional.conv2d(x, features.squeeze.weight)).unflatten(0, (2, 4))
        later = functional.conv2d(reduced[:, 1:].flatten(0, 1), features.conv.weight, padding=1, groups=2)
        expected = torch.zeros(2, 4, 2, 5, 6)
        expected[:, :-1] = later.unflatten(0, (2, 3)) - reduced[:, :-1]
        torch.testing.assert_close(features(x, 4), expected.flatten(0, 1))
        torch.testing.assert_close(features.mean(x, 4), expected.flatten(0, 1).mean((2, 3), keepdim=True))


@pytest.mark.parametrize("direction", ["bidirectional", "causal"])
def test_a_still_clip_has_no_motion_once_its_convolution_keeps_a_frame_as_it_is(direction):
    features = MotionFeatures(16, direction).eval()
    with torch.no_grad():
        nn.init.dirac_(features.conv.weight, groups=1)
        still = torch.randn(1, 16, 4, 4).expand(3, -1, -1, -1)
        assert not features(still, 3).any()
        assert features(torch.randn(3, 16, 4, 4), 3).any()


@pytest.mark.parametrize(
    ("direction", "receptive_field"), [("bidirectional", {1, 2, 3}), ("causal", {0, 1, 2})]
)
def test_a_block_sees_its_neighbors_or_two_frames_of_the_past(direction, receptive_field):
    block = STMBlock(64, 16, 2, 1, 64, nn.Identity(), direction=direction).eval()
    nn.init.normal_(block.over_time.weight)
    x = torch.randn(5, 64, 8, 8, requires_grad=True)
    block(x, 5)[2].sum().backward()
    assert {frame for frame in range(5) if x.grad[frame].any()} == receptive_field


def test_bidirectional_stm_cannot_be_streamed(tmp_path):
    with pytest.raises(ExportError, match="edgevid export stm_r50_online --stream"):
        edgevid.export("stm_r50", output=tmp_path / "b", classes=5, frames=3, size=64, stream=True)
