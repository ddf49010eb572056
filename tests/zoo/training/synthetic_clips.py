"""Videos of a square that moves to the right or to the left, and a network that can tell them apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from edgevid.specs import Preprocessing
from edgevid.zoo.layers.shift import NoShift, TemporalShift
from edgevid.zoo.training.clips import Clips
from edgevid.zoo.training.loop import Training
from edgevid.zoo.training.recipe import Recipe
from edgevid.zoo.training.trained import Trained

FRAMES, SIDE = 4, 16
TRAINED = Trained("tsm_mbv2", FRAMES, ("right", "left"), Preprocessing(short_side=SIDE, crop=SIDE))


def moving_squares(count: int, seed: int = 0) -> Clips:
    """8 frames each; both classes have the same frames, in opposite orders."""
    generator = np.random.default_rng(seed)
    videos = []
    for number in range(count):
        row, video = int(generator.integers(0, 12)), np.zeros((8, SIDE, SIDE, 3), np.uint8)
        for index, column in enumerate(range(0, 16, 2)):
            video[index, row : row + 4, column : column + 4] = 255
        videos.append(video[::-1] if number % 2 else video)
    return Clips(videos, [number % 2 for number in range(count)])


class TinyNetwork(nn.Module):
    """Convolution, shift, convolution and a classifier of the mean over frames."""

    def __init__(self, shifts: bool = True) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.shift = TemporalShift(shift_div=4) if shifts else NoShift()
        self.second, self.second_norm = nn.Conv2d(16, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.dropout, self.classifier = nn.Dropout(0.5), nn.Linear(16, 2)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        frames = clip.shape[1]
        x = torch.relu(self.first_norm(self.first(clip.flatten(0, 1))))
        x = torch.relu(self.second_norm(self.second(self.shift(x, frames))))
        return self.classifier(self.dropout(x.mean((2, 3)))).unflatten(0, (-1, frames)).mean(1)


def make_training(
    recipe: Recipe, files: dict[str, bytes], shifts: bool = True, weights: str | None = None, **options
) -> Training:
    """A training of the tiny network whose files go into ``files``."""
    from edgevid.zoo.training.checkpoint import Run

    torch.manual_seed(0)
    return Training(
        options.pop("network", None) or TinyNetwork(shifts),
        Run(TRAINED, recipe, 0, weights),
        moving_squares(32),
        moving_squares(16, seed=1),
        files.__setitem__,
        **options,
    )
