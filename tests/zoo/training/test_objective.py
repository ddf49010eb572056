"""The loss against formulas."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from edgevid.zoo.training.objective import loss_of, mix


def test_mixed_clips_and_targets_have_the_same_shares():
    inputs = torch.arange(4.0).reshape(4, 1, 1, 1, 1)
    mixed, targets = mix(inputs, torch.eye(4), 0.2, np.random.default_rng(0))
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed.flatten(), targets @ torch.arange(4.0))
    assert len(torch.unique(targets)) > 2, "nothing was mixed"


def test_the_loss_of_a_mixed_target_is_the_mean_of_the_two_losses():
    logits = torch.randn(1, 3, generator=torch.Generator().manual_seed(0))
    first, second = (functional.cross_entropy(logits, torch.tensor([label])) for label in (0, 2))
    loss = loss_of(logits, torch.tensor([[0.7, 0.0, 0.3]]))
    torch.testing.assert_close(loss, 0.7 * first + 0.3 * second)


def test_smoothing_moves_a_share_to_all_classes():
    logits = torch.tensor([[2.0, 0.0]])
    log_probabilities = torch.log_softmax(logits, 1)[0]
    expected = -(0.95 * log_probabilities[0] + 0.05 * log_probabilities[1])
    torch.testing.assert_close(loss_of(logits, torch.tensor([[1.0, 0.0]]), smoothing=0.1), expected)


def test_a_teacher_adds_the_divergence_from_its_answer():
    logits, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    targets = torch.tensor([[1.0, 0.0]])
    p, q = torch.softmax(teacher, 1), torch.softmax(logits, 1)
    expected = loss_of(logits, targets) + (p * (p / q).log()).sum()
    torch.testing.assert_close(loss_of(logits, targets, teacher_logits=teacher), expected)
    torch.testing.assert_close(loss_of(logits, targets, teacher_logits=logits), loss_of(logits, targets))
