"""SGD with a rate and a weight decay per kind of parameter."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo.training.norms import batch_norms
from edgevid.zoo.training.recipe import Recipe

BIAS_RATE = 2.0
"""The factor of biases in TSM's code (``get_optim_policies``), and of the classifier's in PP-TSM's head.

TSN's factor for the first convolution is for optical flow, which is not trained here.
"""

FACTOR = "factor"


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Over the parameters that are not frozen; only weights decay, biases and batch norms do not."""
    norms = set(batch_norms(network))
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, module in network.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            is_bias = kind == "bias" and module not in norms
            factor = recipe.classifier_rate if name == "classifier" else 1.0
            factor *= BIAS_RATE if is_bias else 1.0
            groups.setdefault((factor, not is_bias and module not in norms), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": parameters, FACTOR: factor, "weight_decay": recipe.weight_decay if decays else 0.0}
            for (factor, decays), parameters in groups.items()
        ],
        lr=recipe.rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group[FACTOR]
