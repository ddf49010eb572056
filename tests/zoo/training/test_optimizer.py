"""Rates and decays by kind of parameter."""

from __future__ import annotations

import pytest
from synthetic_clips import TinyNetwork
from torch import nn

from edgevid.zoo.training.norms import freeze_but_first
from edgevid.zoo.training.optimizer import make_optimizer, set_rate
from edgevid.zoo.training.recipe import Recipe


@pytest.fixture
def network() -> TinyNetwork:
    network = TinyNetwork()
    network.second = nn.Conv2d(16, 16, 3, 2, 1)  # with a bias
    return network


def settings(network: nn.Module, rate: float = 0.1) -> dict[str, tuple[float, float]]:
    """Rate and weight decay by the parameter's name."""
    optimizer = make_optimizer(network, Recipe(epochs=1, weight_decay=1e-4))
    set_rate(optimizer, rate)
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: (pytest.approx(group["lr"]), group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_the_classifier_learns_five_times_as_fast_and_biases_twice(network):
    assert settings(network) == {
        "first.weight": (0.1, 1e-4),
        "second.weight": (0.1, 1e-4),
        "second.bias": (0.2, 0.0),
        "classifier.weight": (0.5, 1e-4),
        "classifier.bias": (1.0, 0.0),
        **{f"{norm}_norm.{kind}": (0.1, 0.0) for norm in ("first", "second") for kind in ("weight", "bias")},
    }


def test_frozen_parameters_are_left_out(network):
    freeze_but_first(network)
    assert {name for name in settings(network) if "norm" in name} == {"first_norm.weight", "first_norm.bias"}
