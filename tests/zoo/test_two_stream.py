"""Two streams answer together, each from the channels that are its own."""

from __future__ import annotations

import torch

import edgevid
from edgevid.zoo.tsm.two_stream import TwoStream


def make(**options) -> TwoStream:
    return edgevid.create_model(
        "tsn_r50_two_stream", num_classes=3, backbone="mobilenet_v2", **options
    ).eval()


@torch.no_grad()
def test_the_logits_are_a_weighted_average_of_the_two_networks():
    network, clip = make(), torch.randn(1, 2, 13, 64, 64)
    rgb, flow = network.rgb(clip[:, :, :3]), network.flow(clip[:, :, 3:])
    torch.testing.assert_close(network(clip), (rgb + 1.5 * flow) / 2.5)
    torch.testing.assert_close(network.frame_logits(clip).mean(1), network(clip))
    torch.testing.assert_close(make_alike(network, flow_weight=0)(clip), rgb)


def make_alike(network: TwoStream, **options) -> TwoStream:
    other = make(**options)
    other.load_state_dict(network.state_dict())
    return other


def test_each_stream_takes_weights_of_its_own():
    rgb = edgevid.create_model("tsn_mbv2", num_classes=3)
    flow = edgevid.create_model("tsn_mbv2", num_classes=3, modality="flow")
    network = make()
    edgevid.load_weights(network.rgb, rgb.state_dict())
    edgevid.load_weights(network.flow, flow.state_dict())
    assert torch.equal(network.rgb.classifier.weight, rgb.classifier.weight)
    assert torch.equal(network.flow.backbone.features[0][0].weight, flow.backbone.features[0][0].weight)
