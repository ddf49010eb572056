"""Where a series of ratios changed for good: steps, found by PELT, and creeps, ramps through several of them.

PELT (Killick, Fearnhead, Eckley, "Optimal Detection of Changepoints With a Linear Computational Cost", 2012)
cuts the logarithms of the ratios into levels of least squares, with a penalty for each cut, in units of the
noise. The noise is estimated from differences of neighbors, which a change affects once. A creep is a row
of such cuts in one direction, each perhaps too small to matter; their sum is what counts. A ramp, fitted by
least squares, says where it began, if it explains the points better than levels do.

The ratios must be of pairs against one kept build. Plain times of shared machines have changes of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from edgevid.errors import BenchmarkError

MIN_POINTS = 10
"""Of fewer, nothing is said."""
MIN_LENGTH = 3
"""Points of a level: one or two others are no change."""
PENALTY = 7.0
"""For a cut, times log n and the variance of the noise; 5 would do if a series were looked at only once."""
LEAST_COUNT = 100
"""The n of shorter series, whose noise is known less well."""
DEMAND = 2 / 3
"""Of the effect to be caught: an estimate of just this effect is below it half of the time."""
SPIKE = 4.0
"""Times the noise: a point farther from the median of its neighbors is taken for that median."""
NEIGHBORS = 3
"""On each side."""
LEAST_NOISE = 1e-3
"""Of exact metrics, and where times happen to agree."""


@dataclass(frozen=True)
class Change:
    """From the point ``first`` on the ratio is larger by ``effect`` (0.03 is 3 %); a creep ends at ``last``.

    Of a step both are the same point.
    """

    first: int
    last: int
    effect: float

    @property
    def is_creep(self) -> bool:
        return self.last > self.first


@dataclass(frozen=True)
class Levels:
    """A series cut at its ``changes``, with the ratios at its beginning and now.

    ``interval`` is that of ``ratio`` with 95 % confidence; None where there is one level. ``smallest_effect``
    is the smallest step that would have been seen ``MIN_LENGTH`` points after it.
    """

    changes: tuple[Change, ...]
    first: float
    last: float
    interval: tuple[float, float] | None
    smallest_effect: float

    @property
    def ratio(self) -> float:
        """Now over the beginning; above 1 is worse."""
        return self.last / self.first

    @property
    def first_bad(self) -> Change | None:
        """The first change for the worse after the last one for the better; the first of all if none is."""
        worse = [change for change in self.changes if change.effect > 0]
        better = [change.first for change in self.changes if change.effect < 0]
        after = [change for change in worse if change.first > max(better, default=-1)]
        return next(iter(after or worse), None)


def levels_of(ratios: Sequence[float], effect: float = 0.03) -> Levels:
    """Find the changes of at least about ``effect`` in the ``ratios``, which are in the order of commits.

    Raises ``BenchmarkError`` for fewer than ``MIN_POINTS`` ratios, and where ruptures is not installed.
    """
    if len(ratios) < MIN_POINTS:
        raise BenchmarkError(f"{len(ratios)} points are no history: {MIN_POINTS} are needed")
    logs = np.log(np.asarray(ratios, np.float64))
    sigma = noise(logs)
    values = without_spikes(logs, sigma) / sigma
    penalty = PENALTY * math.log(max(len(values), LEAST_COUNT))
    cuts = [0, *_pelt(values, penalty)]
    means = [float(values[start:end].mean()) for start, end in pairwise(cuts)]
    demand = DEMAND * math.log1p(effect) / sigma
    changes = []
    # Changes in one direction, one after another, are one movement.
    for _, numbers in groupby(range(1, len(means)), lambda number: means[number] > means[number - 1]):
        run = list(numbers)
        if abs(means[run[-1]] - means[run[0] - 1]) >= demand:
            changes += _movement(values, cuts, means, run, penalty, demand, sigma)
    interval = None
    if len(means) > 1:
        shift = (means[-1] - means[0]) * sigma
        error = 1.96 * sigma * math.sqrt(1 / cuts[1] + 1 / (cuts[-1] - cuts[-2]))
        interval = math.exp(shift - error), math.exp(shift + error)
    visible = sigma * math.sqrt(penalty * (1 / MIN_LENGTH + 1 / (len(values) - MIN_LENGTH)))
    return Levels(
        tuple(changes), math.exp(means[0] * sigma), math.exp(means[-1] * sigma), interval, math.expm1(visible)
    )


def noise(values: np.ndarray) -> float:
    """The standard deviation of a point, from the median size of the differences of neighbors."""
    differences = np.diff(values)
    spread = np.median(np.abs(differences - np.median(differences)))
    return max(float(1.4826 * spread / math.sqrt(2)), LEAST_NOISE)


def without_spikes(values: np.ndarray, sigma: float) -> np.ndarray:
    """Hampel's filter: a point that is far from the median of its neighborhood is replaced by it."""
    padded = np.pad(values, NEIGHBORS, mode="reflect")
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBORS + 1), axis=1)
    return np.where(np.abs(values - medians) > SPIKE * sigma, medians, values)


def _pelt(values: np.ndarray, penalty: float) -> list[int]:
    """The end of each level. The linear kernel is least squares, in C."""
    try:
        import ruptures
    except ImportError as error:
        raise BenchmarkError("a history needs ruptures: pip install 'edgevid[history]'") from error
    search = ruptures.KernelCPD(kernel="linear", min_size=MIN_LENGTH)
    return list(map(int, search.fit(values).predict(pen=penalty)))


def _movement(
    values: np.ndarray,
    cuts: list[int],
    means: list[float],
    run: list[int],
    penalty: float,
    demand: float,
    sigma: float,
) -> list[Change]:
    """The changes of a run of cuts in one direction: a ramp, or steps, or their sum if each is small."""
    start, end = cuts[run[0] - 1], cuts[run[-1] + 1]
    residual = sum(
        float(((values[cuts[level] : cuts[level + 1]] - means[level]) ** 2).sum())
        for level in (run[0] - 1, *run)
    )
    foot, top, height, ramp_residual = _ramp(values[start:end])
    if top - foot > 1 and ramp_residual + 2 * penalty < residual + len(run) * penalty:
        return [Change(start + foot + 1, start + top, math.expm1(height * sigma))]
    steps = [(number, means[number] - means[number - 1]) for number in run]
    large = [
        Change(cuts[number], cuts[number], math.expm1(step * sigma))
        for number, step in steps
        if abs(step) >= demand
    ]
    total = means[run[-1]] - means[run[0] - 1]
    return large or [Change(cuts[run[0]], cuts[run[-1]], math.expm1(total * sigma))]


def _ramp(values: np.ndarray) -> tuple[int, int, float, float]:
    """The least-squares ramp: its last point below and first point above, its height, and the squares left.

    Level until ``foot``, a straight line from there to ``top``, level again. All pairs of ends are tried, by
    sums that are known beforehand.
    """
    count = len(values)
    index = np.arange(count)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    moments = np.concatenate([[0.0], np.cumsum(index * values)])
    squares = float((values**2).sum())
    best: tuple[Any, ...] = (0, 0, 0.0, math.inf)
    for foot in range(count - 1):
        top = index[foot + 1 :]
        length = (top - foot).astype(np.float64)
        above = count - 1 - top
        # The shape is 0 until foot, 1 from top on: sums of it, of its square, and with the values.
        s = (length + 1) / 2 + above
        ss = (length + 1) * (2 * length + 1) / (6 * length) + above
        inside = sums[top + 1] - sums[foot + 1]
        sy = (moments[top + 1] - moments[foot + 1] - foot * inside) / length + sums[count] - sums[top + 1]
        spread = ss - s**2 / count
        height = (sy - s * sums[count] / count) / spread
        residual = squares - sums[count] ** 2 / count - height**2 * spread
        least = int(residual.argmin())
        if residual[least] < best[3]:
            best = (foot, int(top[least]), float(height[least]), float(residual[least]))
    return best
