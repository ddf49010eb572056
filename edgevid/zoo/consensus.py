"""Consensus functions, which combine the logits of a clip's segments.

Source: Wang et al., "Temporal Segment Networks for Action Recognition in Videos", TPAMI 2018, section 3.3
(average, max, top-K, weighted average, attention); the ECCV 2016 paper has the first, second and fourth.
"""

from __future__ import annotations

import torch
from torch import nn

from edgevid.specs.registry import check_choice

TOP = 3
"""The number of segments that top-K averages: K in the paper, which uses 1 to 5."""


class Consensus(nn.Module):
    """Logits ``(N, T, classes)`` and the features ``(N, T, C)`` behind them to ``(N, classes)``.

    The kinds weight the segments differently; ``weighted`` and ``attention`` learn weights that start equal.
    """


class Average(Consensus):
    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.mean(1)


class Maximum(Consensus):
    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.amax(1)


class TopK(Consensus):
    """For each class, the mean over the ``TOP`` segments with the largest logits."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return logits.topk(min(TOP, logits.shape[1]), 1).values.mean(1)


class Weighted(Consensus):
    """A learned weight per segment, by its position in the clip."""

    def __init__(self, frames: int, feature_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((frames,), 1 / frames))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return (logits * self.weight[:, None]).sum(1)


class Attention(Consensus):
    """A weight per segment from its features: softmax over segments of a learned projection."""

    def __init__(self, frames: int, feature_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(feature_channels))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax((features * self.weight).sum(2), 1)
        return (logits * weights[:, :, None]).sum(1)


KINDS = {"average": Average, "max": Maximum, "top-k": TopK, "weighted": Weighted, "attention": Attention}


def make_consensus(kind: str, frames: int, feature_channels: int) -> Consensus:
    """``kind`` is one of ``KINDS``; ``frames`` is the number of segments in a clip."""
    check_choice("consensus", kind, KINDS)
    learns = kind in ("weighted", "attention")
    return KINDS[kind](frames, feature_channels) if learns else KINDS[kind]()
