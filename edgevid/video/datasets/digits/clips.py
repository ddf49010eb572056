"""Clips of one activity each, written as class folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevid.video.datasets.digits.activities import PAIRS, Pair
from edgevid.video.datasets.digits.drawing import Scene
from edgevid.video.datasets.digits.handwriting import Handwriting

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Options:
    """``videos``: in train and in test; of clips, those of each class. ``size``: pixels, even."""

    seed: int
    videos: tuple[int, int]
    size: int
    frames: int


@dataclass(frozen=True)
class Rendered:
    """A video and the file that it goes to, without its suffix.

    ``images``: uint8 ``(frames, size, size, 3)``. ``activities``: that of each frame, where they differ.
    """

    path: Path
    images: np.ndarray
    activities: Sequence[str] | None = None


def render_clips(options: Options) -> Iterator[Rendered]:
    """Each clip, and then the same backwards for the other class of its pair.

    What a clip shows depends on the seed, its split, its class and its number alone.
    """
    for split, count in zip(SPLITS, options.videos):
        handwriting = Handwriting(split)
        for pair in PAIRS:
            for number in range(count):
                random = generator(options.seed, split, PAIRS.index(pair), number)
                images = render_pair(pair, handwriting, random, options.frames, options.size)
                yield Rendered(Path(split, pair.forward, f"{number:04d}"), images)
                yield Rendered(Path(split, pair.backward, f"{number:04d}"), images[::-1])


def render_pair(
    pair: Pair, handwriting: Handwriting, random: np.random.Generator, frames: int, size: int
) -> np.ndarray:
    """The forward activity, uint8 ``(frames, size, size, 3)``."""
    scene = Scene(random, size)
    digits = [handwriting.pick(random, values) for values in pair.digits]
    return np.stack([scene.draw(digits[which], pose) for which, pose in pair.motion(random, frames)])


def generator(seed: int, split: str, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), *numbers])
