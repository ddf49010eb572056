"""The loss: smoothed labels, mixed clips, and the answers of a teacher.

Sources: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7 (label smoothing);
Zhang et al., "mixup", ICLR 2018, section 2; Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural
Network", 2015, section 2. PP-TSM uses the three of them for videos (PaddleVideo, ``pp-tsm.md``).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional


def mix(
    inputs: torch.Tensor, targets: torch.Tensor, alpha: float, generator: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each clip with another of its batch: ``share * a + (1 - share) * b``, of inputs and targets alike.

    The share is drawn for the batch from Beta(``alpha``, ``alpha``).
    """
    share = float(generator.beta(alpha, alpha))
    other = torch.from_numpy(generator.permutation(len(inputs)))
    return share * inputs + (1 - share) * inputs[other], share * targets + (1 - share) * targets[other]


def loss_of(
    logits: torch.Tensor,
    targets: torch.Tensor,
    smoothing: float = 0.0,
    teacher_logits: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross entropy with ``targets``, probabilities ``(N, classes)``, and the divergence from a teacher.

    A teacher adds KL(teacher || student), the student's part of PP-TSM v2's mutual learning, in which the
    teacher does not change here.
    """
    loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    if teacher_logits is None:
        return loss
    distance = functional.kl_div(
        functional.log_softmax(logits, 1),
        functional.log_softmax(teacher_logits, 1),
        reduction="batchmean",
        log_target=True,
    )
    return loss + distance
