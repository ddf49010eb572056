"""Batch norms: frozen ones of a partial batch norm, and statistics of the final weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """In the order of the network's definition, the stem's first."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def freeze_but_first(network: nn.Module) -> None:
    """Partial batch norm: all but the first keep their statistics and parameters.

    Source: Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2. Call it after each
    ``network.train()``, which thaws the statistics.
    """
    for norm in batch_norms(network)[1:]:
        norm.eval()
        norm.requires_grad_(False)


@torch.no_grad()
def recompute_statistics(network: nn.Module, inputs: Iterable[torch.Tensor]) -> None:
    """Precise batch norm: the mean over batches of the statistics with the weights as they are now.

    The running averages of training also remember earlier weights. Source: Wu and Johnson, "Rethinking
    'Batch' in BatchNorm", 2021, section 3.2. Frozen norms stay; the network is left in training mode.
    """
    norms = [norm for norm in batch_norms(network) if norm.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's cumulative average
    for batch in inputs:
        network(batch)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
