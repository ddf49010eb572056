"""Grad-CAM is CAM up to scale where the classifier is linear; layers are found by their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_network import Shifted
from torch import nn

from edgevid.errors import UnknownNameError
from edgevid.zoo.grad_cam import feature_maps, grad_cam


class Volumes(nn.Module):
    """A network of 3D convolutions that halves the frames."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.layer = nn.Conv3d(3, 6, 3, 2, 1), nn.ReLU(inplace=True), nn.Linear(6, 5)

    def forward(self, clip):
        return self.layer(self.relu(self.conv(clip.transpose(1, 2))).mean((2, 3, 4)))


@pytest.fixture
def clip():
    return np.random.default_rng(0).standard_normal((1, 4, 3, 16, 16), dtype=np.float32)


@pytest.mark.parametrize(
    "network, layer, steps", [(Shifted().eval(), "blocks.0", 4), (Volumes().eval(), "relu", 2)]
)
def test_grad_cam_equals_cam_up_to_scale(network, layer, steps, clip):
    found = grad_cam(network, clip, class_index=3)
    assert found.layer == layer
    features = feature_maps(network, clip, [layer])[layer]
    assert len(features) == len(found.maps) == steps
    weight = network.layer.weight.detach().numpy()[3]
    cam = np.maximum(np.einsum("c,tchw->thw", weight, features), 0)
    np.testing.assert_allclose(found.maps / found.maps.max(), cam / cam.max(), atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(found.logits, network(torch.from_numpy(clip))[0].numpy(), rtol=1e-5)


def test_the_best_class_is_explained_unless_another_is_named(clip):
    network = Shifted().eval()
    assert grad_cam(network, clip).class_index == int(grad_cam(network, clip).logits.argmax())
    assert grad_cam(network, clip, layer="stem").maps.shape == (4, 8, 8)


def test_an_unknown_layer_is_refused_with_the_close_names(clip):
    with pytest.raises(UnknownNameError, match=r"unknown layer 'block.0': did you mean blocks.0"):
        grad_cam(Shifted().eval(), clip, layer="block.0")
    with pytest.raises(UnknownNameError, match="the last ones with a feature map are"):
        feature_maps(Shifted().eval(), clip, ["layer"])


def test_the_network_keeps_no_hook(clip):
    network = Shifted().eval()
    grad_cam(network, clip)
    assert not any(module._forward_hooks for module in network.modules())
