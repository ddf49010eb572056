"""Networks that export in a fraction of MobileNet's time, for tests of what surrounds an export."""

from __future__ import annotations

import torch
from torch import nn

from edgevid.zoo.layers.shift import TemporalShift


class Tiny(nn.Module):
    """5 logits from the mean color of a clip; its weights take 1.2 MB."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.layer = nn.Linear(3, 32_000), nn.Linear(32_000, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.relu(self.hidden(clip.mean((1, 3, 4)))))


class Block(nn.Module):
    """A residual block with a temporal shift: what the backends have kernels for, once."""

    def __init__(self, direction: str) -> None:
        super().__init__()
        self.shift, self.conv = TemporalShift(direction), nn.Conv2d(16, 16, 1)
        self.spatial = nn.Conv2d(16, 16, 3, padding=1, groups=16)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        return x + self.spatial(torch.relu(self.conv(self.shift(x, frames))))


class Shifted(nn.Module):
    """One block, or several, between a stem and a classifier."""

    def __init__(self, direction: str = "bidirectional", blocks: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList(Block(direction) for _ in range(blocks))
        self.layer = nn.Linear(16, 5)

    def frame_logits(self, clip: torch.Tensor) -> torch.Tensor:
        frames = clip.shape[1]
        x = torch.relu(self.norm(self.stem(clip.flatten(0, 1))))
        for block in self.blocks:
            x = block(x, frames)
        return self.layer(x.mean((2, 3))).unflatten(0, (-1, frames))

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.frame_logits(clip).mean(1)


def shifted_causal() -> Shifted:
    """The network for streams, by a name that ``edgevid export`` takes."""
    return Shifted("causal")


def shifted_thrice() -> Shifted:
    return Shifted(blocks=3)


def shifted_causal_thrice() -> Shifted:
    return Shifted("causal", blocks=3)
