"""A network of the zoo without the repetitions in it, for tests of what its layers do."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

import edgevid


def short_network(name: str, **sizes: int) -> nn.Module:
    """``create_model(name, **sizes)`` with one of each run of equal blocks, random weights of seed 0."""
    torch.manual_seed(0)
    network = edgevid.create_model(name, **sizes).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for (_, previous), (repetition, block) in pairwise(list(module.named_children())):
                if repr(block) == repr(previous):
                    delattr(module, repetition)
    return network
