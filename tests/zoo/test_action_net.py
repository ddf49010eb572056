"""ACTION-Net computes what its authors' code does, and its causal variant reads only the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from official import names_and_shapes, reference, zeros_of
from torch import nn

import edgevid
from edgevid.benchmarks.experiments.networks_official import official_action_r50, official_stm_r50
from edgevid.errors import WeightsError
from edgevid.exporter.measure import measure
from edgevid.zoo.action_net.network import Action
from edgevid.zoo.layers.temporal_conv import TemporalConv

pytestmark = pytest.mark.slow


def test_action_net_gives_the_logits_of_its_authors():
    case = reference("action_mbv2_8f_jester")
    network = edgevid.load_weights(edgevid.create_model("action_mbv2", num_classes=27), case.state).eval()
    with torch.no_grad():
        logits = network(case.clip)[0].numpy()
    # In float64 their own logits are 4e-5 of the spread away from these.
    assert np.abs(logits - case.logits).max() <= 4e-5 * case.logits.std()


def test_macs_are_about_those_of_the_paper():
    # The paper prints 34.75 G; we count no sums, products or sigmoids of the gates.
    assert measure("action_r50", num_classes=27).macs == pytest.approx(34.75e9, rel=0.01)


def test_a_checkpoint_on_resnet_fills_action_net_and_no_other_network():
    state = reference("action_r50_8f_jester").state
    network = edgevid.create_model("action_r50", num_classes=27)
    edgevid.load_weights(network, {"state_dict": state})
    values = [tensor for name, tensor in network.state_dict().items() if "num_batches" not in name]
    assert sum(tensor.numel() for tensor in values) == 27_835_935, "27.84 M values"
    theirs = state["module.base_model.layer2.1.conv1.action_p2_conv1.weight"]
    ours = network.backbone.layer2[1].shift.excitation.channel_over_time.weight
    assert torch.equal(ours[..., 0, 0], theirs)
    with pytest.raises(WeightsError, match="not the weights of this network"):
        edgevid.load_weights(edgevid.create_model("tsm_r50", num_classes=27), state)
    with pytest.raises(WeightsError, match="not the weights of this network"):
        edgevid.load_weights(
            edgevid.create_model("action_r50"), zeros_of(names_and_shapes("tsm_r50_8f_kinetics"))
        )


@pytest.mark.parametrize("name", ["action_r50", "stm_r50"])
def test_the_networks_equal_those_written_in_ordinary_layers(name):
    network = edgevid.create_model(name, num_classes=9, frames=4).eval()
    for module in network.modules():
        if isinstance(module, TemporalConv):
            nn.init.normal_(module.weight, std=0.5)
    ordinary = {"action_r50": official_action_r50, "stm_r50": official_stm_r50}[name](network)
    clip = torch.randn(2, 4, 3, 64, 64)
    with torch.no_grad():
        expected = ordinary(clip)
        assert (network(clip) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    ("direction", "receptive_field"), [("bidirectional", {0, 1, 2, 3, 4}), ("causal", {0, 1, 2, 3})]
)
def test_a_module_sees_two_convolutions_of_three_frames(direction, receptive_field):
    module = Action(32, direction).eval()
    nn.init.normal_(module.over_time.weight)
    x = torch.randn(7, 32, 6, 6, requires_grad=True)
    module(x, 7)[3 if direction == "causal" else 2].sum().backward()
    assert {frame for frame in range(7) if x.grad[frame].any()} == receptive_field


def test_untrained_gates_multiply_by_four_and_a_half():
    module = Action(32).eval()
    for layer in (
        module.excitation.space_time,
        module.excitation.channel_expand,
        module.excitation.motion_expand,
    ):
        nn.init.zeros_(layer.weight)
    x = torch.randn(4, 32, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(module(x, 4), 4.5 * module.over_time(x, 4))
