"""Export the networks whose instructions are counted: ``python tests/commit_networks.py FOLDER``.

They are small and short, run every kind of kernel, and come from the edgevid that Python's path leads to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import traced_once
from short_network import short_network
from torch import nn

import edgevid
from edgevid.zoo.layers.shift import TemporalShift

FRAMES, SIZE, CHANNELS = 2, 64, 64
ZOO = ("tsm_mbv2", "tsm_mbv2_online", "action_mbv2")


class Bottleneck(nn.Module):
    """A stem, a block of a ResNet with a shift, whose 3x3 convolution is Winograd's, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.shift = nn.Conv2d(3, CHANNELS, 7, 4, 3), TemporalShift("bidirectional")
        self.reduce, self.spatial = (
            nn.Conv2d(CHANNELS, CHANNELS, 1),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
        )
        self.layer = nn.Linear(CHANNELS, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        frames = clip.shape[1]
        x = torch.relu(self.stem(clip.flatten(0, 1)))
        x = x + self.spatial(torch.relu(self.reduce(self.shift(x, frames))))
        return self.layer(torch.relu(x).mean((2, 3))).unflatten(0, (-1, frames)).mean(1)


def main(folder: Path) -> None:
    traced_once.install()  # halves the time
    networks = {name: short_network(name, FRAMES, SIZE, num_classes=5) for name in ZOO}
    for name, network in {**networks, "bottleneck": Bottleneck().eval()}.items():
        stream = name.endswith("_online")
        edgevid.export(network, output=folder / name, frames=FRAMES, size=SIZE, stream=stream)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
