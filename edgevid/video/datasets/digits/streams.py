"""Longer videos in which activities follow each other, with the activity of each frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgevid.video.datasets.digits.activities import CLASSES, PAIRS
from edgevid.video.datasets.digits.clips import SPLITS, Options, Rendered, generator
from edgevid.video.datasets.digits.drawing import Pose, Scene
from edgevid.video.datasets.digits.handwriting import Handwriting

IDLE = "idle"
STREAM_CLASSES = (IDLE, *CLASSES)
EMPTY, STILL, ACTIVE = (4, 9), (4, 11), (16, 33)
"""Frames without a digit, with one that rests, and of an activity: at least, and fewer than."""


def render_streams(options: Options) -> Iterator[Rendered]:
    """What a stream shows depends on the seed, its split and its number alone."""
    for split, count in zip(SPLITS, options.videos):
        handwriting = Handwriting(split)
        for number in range(count):
            random = generator(options.seed, split, len(PAIRS), number)
            images, activities = _render(handwriting, random, options)
            yield Rendered(Path(split, f"{number:04d}"), images, activities)


def _render(
    handwriting: Handwriting, random: np.random.Generator, options: Options
) -> tuple[np.ndarray, list[str]]:
    scene = Scene(random, options.size)
    images: list[np.ndarray] = []
    activities: list[str] = []
    while len(images) < options.frames:
        pair = PAIRS[random.integers(len(PAIRS))]
        digits = [handwriting.pick(random, values) for values in pair.digits]
        shown = pair.motion(random, int(random.integers(*ACTIVE)))
        name = pair.forward
        if random.integers(2):
            shown, name = shown[::-1], pair.backward
        empty, before, after = (int(random.integers(*length)) for length in (EMPTY, STILL, STILL))
        images += [scene.draw(None, Pose(0, 0, 1, 0))] * empty
        images += [
            scene.draw(digits[which], pose)
            for which, pose in [shown[0]] * before + shown + [shown[-1]] * after
        ]
        activities += [IDLE] * (empty + before) + [name] * len(shown) + [IDLE] * after
    return np.stack(images[: options.frames]), activities[: options.frames]
