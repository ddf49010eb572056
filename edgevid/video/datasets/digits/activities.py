"""What digits do, in pairs of activities of which one is the other backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgevid.video.datasets.digits.drawing import Pose

ALL = tuple(range(10))
UNLIKE_UPSIDE_DOWN = (2, 3, 4, 5, 6, 7, 9)
TILT = 0.2
"""Radians by which a digit stands askew."""


class Shown(NamedTuple):
    """Which of the digits of an activity is shown, and how."""

    which: int
    pose: Pose


@dataclass(frozen=True)
class Pair:
    """``motion(random, frames)`` is of the ``forward`` activity, whose frames reversed are ``backward``.

    ``digits``: for each digit that is shown, which ones it may be.
    """

    forward: str
    backward: str
    motion: Callable[[np.random.Generator, int], list[Shown]]
    digits: Sequence[Sequence[int]] = (ALL,)


def _progress(random: np.random.Generator, frames: int) -> np.ndarray:
    """From 0 to 1, now faster, now slower, but never back."""
    time = np.linspace(0.0, 1.0, frames)
    return time + random.uniform(-0.5, 0.5) * np.sin(2 * np.pi * time) / (2 * np.pi)


def _travels(random: np.random.Generator, frames: int) -> tuple[np.ndarray, float, float, float]:
    """Along one axis, and where it stays on the other; its size and angle."""
    start = random.uniform(0.18, 0.4)
    along = start + random.uniform(0.4, 0.82 - start) * _progress(random, frames)
    return along, random.uniform(0.25, 0.75), random.uniform(0.3, 0.42), random.uniform(-TILT, TILT)


def _moves_right(random: np.random.Generator, frames: int) -> list[Shown]:
    along, across, size, angle = _travels(random, frames)
    return [Shown(0, Pose(x, across, size, angle)) for x in along]


def _moves_down(random: np.random.Generator, frames: int) -> list[Shown]:
    along, across, size, angle = _travels(random, frames)
    return [Shown(0, Pose(across, y, size, angle)) for y in along]


def _grows(random: np.random.Generator, frames: int) -> list[Shown]:
    x, y = random.uniform(0.35, 0.65, 2)
    angle = random.uniform(-TILT, TILT)
    small, large = random.uniform(0.18, 0.3), random.uniform(0.5, 0.75)
    return [Shown(0, Pose(x, y, size, angle)) for size in small + (large - small) * _progress(random, frames)]


def _turns(random: np.random.Generator, frames: int) -> list[Shown]:
    x, y = random.uniform(0.35, 0.65, 2)
    size, start = random.uniform(0.4, 0.6), random.uniform(0, 2 * np.pi)
    angles = start + random.uniform(0.7, 1.3) * np.pi * _progress(random, frames)
    return [Shown(0, Pose(x, y, size, angle)) for angle in angles]


def _follows(random: np.random.Generator, frames: int) -> list[Shown]:
    """One digit, then another in its place; both sway, so that a stream shows when it begins."""
    x, y = random.uniform(0.35, 0.65, 2)
    size, change = random.uniform(0.35, 0.6), round(random.uniform(0.35, 0.65) * frames)
    angles = TILT * np.sin(np.linspace(0, 6 * np.pi, frames) + random.uniform(0, 2 * np.pi))
    return [Shown(int(number >= change), Pose(x, y, size, angle)) for number, angle in enumerate(angles)]


PAIRS = (
    Pair("moves_right", "moves_left", _moves_right),
    Pair("moves_down", "moves_up", _moves_down),
    Pair("grows", "shrinks", _grows),
    Pair("turns_clockwise", "turns_counterclockwise", _turns, (UNLIKE_UPSIDE_DOWN,)),
    Pair("zero_then_one", "one_then_zero", _follows, ((0,), (1,))),
)

CLASSES = tuple(sorted(name for pair in PAIRS for name in (pair.forward, pair.backward)))
"""Of the clips, in the order in which class folders are numbered."""
