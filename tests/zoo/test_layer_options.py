"""What the sources' builders give to the layers: epsilon, momentum, slope, padding, rounding of pools."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import edgevid
from edgevid.zoo import MODELS

pytestmark = pytest.mark.slow

TORCH = (1e-5, 0.1)
"""PyTorch's epsilon and momentum; the defaults of Paddle and tensorpack come to the same."""

NORMS = {
    # MMAction2's configuration says eps=1e-3; Conv2plus1d builds its inner norm from its own default.
    "r2plus1d_r34": {(1e-3, 0.1), TORCH},
    # The released BN-Inception has momentum=0.9 throughout; ACTION-Net's module inside has PyTorch's.
    "action_bninception": {(1e-5, 0.9), TORCH},
    "c3d": set(),
}
"""(epsilon, momentum) of the batch norms, where the source does not leave PyTorch's."""

CEILING = {"action_bninception"}
"""Networks whose max-pools round up. PP-TSM's shortcuts do too, of means of what there is."""


@pytest.fixture(scope="module")
def networks() -> dict[str, nn.Module]:
    with torch.device("meta"):
        return {name: edgevid.create_model(name) for name in MODELS}


def kinds(network: nn.Module, kind: type | tuple[type, ...]) -> list:
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("name", MODELS)
def test_layers_have_the_options_of_the_source(networks, name):
    network = networks[name]
    norms = {(norm.eps, norm.momentum) for norm in kinds(network, nn.BatchNorm2d)}
    assert norms == NORMS.get(name, {TORCH})
    slopes = {layer.negative_slope for layer in kinds(network, nn.LeakyReLU)}
    assert slopes == ({0.01} if name.startswith("pptsm_r") else set())
    assert {layer.padding_mode for layer in kinds(network, nn.Conv2d)} <= {"zeros"}
    for pool in kinds(network, nn.MaxPool2d):
        # With stride 1 nothing is left over at the edge, and either way of rounding gives the same.
        assert pool.ceil_mode == (name in CEILING and pool.stride > 1)
    for pool in kinds(network, nn.AvgPool2d):
        assert pool.count_include_pad  # BN-Inception's and TEA's pools count the zeros around the image
        assert pool.ceil_mode == name.startswith("pptsm_r")


def test_only_the_norms_inside_a_factorized_convolution_differ(networks):
    by_epsilon = {
        epsilon: {
            path.rpartition(".")[2]
            for path, module in networks["r2plus1d_r34"].named_modules()
            if isinstance(module, nn.BatchNorm2d) and module.eps == epsilon
        }
        for epsilon in (1e-3, 1e-5)
    }
    assert by_epsilon == {1e-3: {"bn1", "bn2", "1"}, 1e-5: {"bn_s"}}
