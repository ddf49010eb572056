"""A checkpoint of images, inflated over frames, gives the image's answer where a clip stands still."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import edgevid
from edgevid.weights.inflate import inflate

pytestmark = pytest.mark.slow

CLASSES, SIZE = 6, 32
REACH = 17
"""Frames to each side that I3D sees for one of its last stage: 2 + 3, then 6 of every second."""


@pytest.fixture(scope="module")
def images() -> nn.Module:
    """A ResNet-50 of frames whose batch norms matter."""
    torch.manual_seed(0)
    network = edgevid.create_model("tsn_r50", num_classes=CLASSES)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(images) -> dict[str, torch.Tensor]:
    """The same in the names of torchvision."""
    return {
        name.removeprefix("backbone.").replace("classifier.", "fc."): tensor
        for name, tensor in images.state_dict().items()
    }


def inflated(name: str, checkpoint: dict[str, torch.Tensor], frames: int) -> nn.Module:
    network = edgevid.create_model(name, num_classes=CLASSES, frames=frames)
    return edgevid.load_weights(network, checkpoint).eval()


def still(frames: int) -> torch.Tensor:
    image = torch.randn(1, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return image.expand(-1, frames, -1, -1, -1)


@torch.no_grad()
def test_a_still_clip_has_the_output_of_its_image_inside_of_i3d(images, checkpoint):
    frames = 2 * REACH + 4
    network, clip = inflated("i3d_r50", checkpoint, frames), still(frames)
    expected = images(clip[:, :1])
    outputs = network.frame_logits(clip)[0]
    margin = REACH // 2 + 1
    inside = outputs[margin:-margin]
    assert len(inside) == 1
    torch.testing.assert_close(
        inside, expected.expand_as(inside), rtol=1e-4, atol=1e-4 * expected.abs().max().item()
    )
    # At the ends filters see the zeros beyond the clip.
    assert (outputs[0] - expected).abs().max() > 1e-2 * expected.abs().max()


@torch.no_grad()
def test_a_still_clip_has_the_output_of_its_image_in_c2d(images, checkpoint):
    clip = still(4)
    torch.testing.assert_close(inflated("c2d_r50", checkpoint, 4)(clip), images(clip[:, :1]))


def test_layers_missing_in_image_checkpoints_are_reported(checkpoint, caplog):
    network = edgevid.create_model("i3d_r50_nl", num_classes=CLASSES, frames=16)
    with caplog.at_level("WARNING", logger="edgevid"):
        edgevid.load_weights(network, checkpoint)
    assert "untrained are backbone.layer2.1.non_local.bn" in caplog.text


def test_a_filter_is_divided_among_its_frames():
    weight, expected = torch.randn(4, 3, 2, 2), torch.zeros(4, 3, 5, 2, 2)
    spread = inflate("conv1.weight", weight, expected)
    torch.testing.assert_close(spread.sum(2), weight)
    torch.testing.assert_close(spread[:, :, 0], weight / 5)


@pytest.mark.parametrize("shape", [(4, 3, 2, 3), (4, 3, 2), (5, 3, 2, 2)])
def test_other_tensors_than_image_filters_are_left_to_the_shape_check(shape):
    tensor = torch.randn(shape)
    assert inflate("conv1.weight", tensor, torch.zeros(4, 3, 5, 2, 2)) is tensor
