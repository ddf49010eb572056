"""What the answers of a clip's segments say together.

Source: Wang et al., "Temporal Segment Networks for Action Recognition in Videos", TPAMI 2018, section 3.3
(average, max, top-K, weighted average, attention); the ECCV 2016 paper has the first, second and fourth.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.specs.registry import check_choice

TOP = 3
"""How many segments top-K averages: K of the paper, which takes 1 to 5."""


class Consensus(nn.Module):
    """Logits ``(N, T, classes)``, and the features ``(N, T, C)`` that they were made of, to ``(N, classes)``.

    Each kind has its weights of segments; ``weighted`` and ``attention`` learn theirs, and start as average.
    """


class Average(Consensus):
    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.mean(1)


class Maximum(Consensus):
    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.amax(1)


class TopK(Consensus):
    """For each class, the mean over the ``TOP`` segments that are surest of it."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.topk(min(TOP, logits.shape[1]), 1).values.mean(1)


class Weighted(Consensus):
    """A learned weight for each segment, by its place in the clip."""

    def __init__(self, frames: int, feature_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((frames,), 1 / frames))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return (logits * self.weight[:, None]).sum(1)


class Attention(Consensus):
    """A weight for each segment by what it shows: softmax over segments of a learned projection."""

    def __init__(self, frames: int, feature_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(feature_channels))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax((features * self.weight).sum(2), 1)
        return (logits * weights[:, :, None]).sum(1)


KINDS = {"average": Average, "max": Maximum, "top-k": TopK, "weighted": Weighted, "attention": Attention}


def make_consensus(kind: str, frames: int, feature_channels: int) -> Consensus:
    """``kind`` is one of ``KINDS``; ``frames`` the segments of a clip."""
    check_choice("consensus", kind, KINDS)
    learns = kind in ("weighted", "attention")
    return KINDS[kind](frames, feature_channels) if learns else KINDS[kind]()
