"""The network of a team's repository: small, so that the example takes seconds."""

from __future__ import annotations

import torch
from torch import nn

STRIDE = 4


class Gestures(nn.Module):
    """Logits of 5 gestures from a clip ``(N, T, 3, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, STRIDE, 1)
        self.conv = nn.Conv2d(32, 32, 3, 1, 1)
        self.classifier = nn.Linear(32, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        images = torch.relu(self.conv(torch.relu(self.stem(clip.flatten(0, 1)))))
        return self.classifier(images.mean((2, 3)).unflatten(0, clip.shape[:2]).mean(1))


def gestures() -> nn.Module:
    torch.manual_seed(0)
    return Gestures()
