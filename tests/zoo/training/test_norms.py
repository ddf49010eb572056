"""Frozen batch norms, and statistics of the weights as they are."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo.training.norms import batch_norms, freeze_but_first, recompute_statistics


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))


def test_partial_batch_norm_freezes_all_but_the_first():
    model = network().train()
    freeze_but_first(model)
    first, second = batch_norms(model)
    model(torch.randn(2, 3, 4, 4)).sum().backward()
    assert first.running_mean.abs().sum() > 0 and first.weight.grad is not None
    assert second.running_mean.abs().sum() == 0 and second.weight.grad is None


def test_precise_statistics_are_the_means_over_batches():
    model = network().train()
    model(100 * torch.randn(2, 3, 4, 4))  # what the running averages remember
    batches = [torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2)]
    recompute_statistics(model, batches)
    outputs = [model[0](batch) for batch in batches]
    norm = model[1]
    torch.testing.assert_close(norm.running_mean, sum(y.mean((0, 2, 3)) for y in outputs) / 2)
    torch.testing.assert_close(norm.running_var, sum(y.var((0, 2, 3)) for y in outputs) / 2)
    assert norm.momentum == 0.1


def test_precise_statistics_leave_frozen_norms_alone():
    model = network().train()
    freeze_but_first(model)
    recompute_statistics(model, [torch.randn(5, 3, 2, 2)])
    assert batch_norms(model)[1].running_mean.abs().sum() == 0
