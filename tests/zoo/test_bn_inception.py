"""BN-Inception has the size that everyone knows, and ACTION-Net's checkpoints on it are read."""

from __future__ import annotations

import pytest
import torch

import edgevid
from edgevid.errors import ExportError
from edgevid.zoo.action_net.bn_inception import BNInception

pytestmark = pytest.mark.slow

# The authors' name of a convolution, and ours.
STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2.0", "conv2_3x3": "conv2.1"}
IN_BLOCK = {
    "1x1": "conv1x1",
    "3x3_reduce": "conv3x3.0",
    "3x3": "conv3x3.1",
    "double_3x3_reduce": "double3x3.0",
    "double_3x3_1": "double3x3.1",
    "double_3x3_2": "double3x3.2",
    "pool_proj": "projection",
}
IN_MODULE = {
    "action_shift": "over_time",
    "action_p1_conv1": "excitation.space_time",
    "action_p2_squeeze": "excitation.channel_squeeze",
    "action_p2_conv1": "excitation.channel_over_time",
    "action_p2_expand": "excitation.channel_expand",
    "action_p3_squeeze": "excitation.motion.squeeze",
    "action_p3_bn1": "excitation.motion.bn",
    "action_p3_conv1": "excitation.motion.conv",
    "action_p3_expand": "excitation.motion_expand",
}
BEHIND = {"3a": "2", "3b": "3a", "3c": "3b", "4a": "3c", "4b": "4a", "4c": "4b", "4d": "4c", "4e": "4d"}
BEHIND |= {"5a": "4e", "5b": "5a"}


def checkpoint_of(network) -> dict[str, torch.Tensor]:
    """What the authors' code would save; a module also holds a convolution of the block behind it."""
    backbone, layers = network.backbone, {}
    for theirs, ours in STEM.items():
        layers[theirs] = backbone.get_submodule(ours)
    for name, block in backbone.blocks.items():
        for theirs, ours in IN_BLOCK.items():
            if block.conv1x1 is not None or theirs not in ("1x1", "pool_proj"):
                layers[f"inception_{name}_{theirs}"] = block.get_submodule(ours)
    state = {}
    for name, layer in layers.items():
        for kind, part in (("", layer.conv), ("_bn", layer.bn)):
            state |= {f"{name}{kind}.{key}": tensor for key, tensor in part.state_dict().items()}
    for name, block in backbone.blocks.items():
        first = "1x1" if block.conv1x1 is not None else "3x3_reduce"
        for key in ("weight", "bias"):
            state[f"shift_{BEHIND[name]}.net.{key}"] = state[f"inception_{name}_{first}.{key}"]
        for theirs, ours in IN_MODULE.items():
            for key, tensor in block.shift.get_submodule(ours).state_dict().items():
                state[f"shift_{BEHIND[name]}.{theirs}.{key}"] = tensor
    state = {f"base_model.{name}": tensor for name, tensor in state.items()}
    return state | {f"new_fc.{key}": tensor for key, tensor in network.classifier.state_dict().items()}


def test_it_has_the_parameters_of_the_published_weights():
    of_1000_classes = sum(parameter.numel() for parameter in BNInception().parameters()) + 1024 * 1000 + 1000
    assert of_1000_classes == 11_295_240


def test_a_checkpoint_of_action_net_on_it_fills_every_tensor():
    torch.manual_seed(0)
    saved, fresh = (edgevid.create_model("action_bninception", num_classes=5, frames=2) for _ in range(2))
    for tensor in saved.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    edgevid.load_weights(fresh, checkpoint_of(saved))
    for name, tensor in saved.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name


def test_an_image_size_that_is_not_a_multiple_of_32_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"does not accept a clip.*--size"):
        edgevid.export("action_bninception", output=tmp_path / "b", classes=5, frames=2, size=56)
