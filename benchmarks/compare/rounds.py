"""One interleaved run: rounds in which every bundle is measured once, in a fresh process, in random order.

So what the machine does in the long run, such as heating up, favors none of them.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.regress.pairs import is_disturbed
from edgevid.errors import EdgevidError

ROUNDS = 6
"""The fewest whose smallest and largest median enclose the true one with 95 % confidence."""
LONGEST_S = 60.0
"""What has taken this long since the first round, in which kernels may be compiled, is not measured again."""
CONFIDENCE = 0.95

Result = dict[str, Any]
Measure = Callable[[str], Result]
"""Measures the bundle at a path in a fresh process; raises ``EdgevidError``."""


@dataclass(frozen=True)
class Progress:
    """Before each process: the round, its number among all of the run, and what is measured."""

    turn: int
    rounds: int
    done: int
    total: int
    title: str


def measure_rounds(
    bundles: Mapping[str, str],
    rounds: int,
    measure: Measure,
    show: Callable[[Progress], None] = lambda progress: None,
    seed: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """The results of each bundle, a title and a path, and the reasons of those that failed."""
    results: dict[str, list[Result]] = {title: [] for title in bundles}
    seconds = dict.fromkeys(bundles, 0.0)
    failures: dict[str, str] = {}
    draw, done = random.Random(seed), 0
    for turn in range(rounds):
        titles = [title for title in bundles if title not in failures and seconds[title] < LONGEST_S]
        for title in draw.sample(titles, len(titles)):
            show(Progress(turn + 1, rounds, done, len(bundles) * rounds, title))
            start = clock()
            try:
                results[title].append(measure(bundles[title]))
            except EdgevidError as error:
                failures[title] = str(error)
            if turn > 0:
                seconds[title] += clock() - start
            done += 1
    return {title: found for title, found in results.items() if title not in failures}, failures


def undisturbed(results: Sequence[Result]) -> list[Result]:
    """The results of processes that others left alone; all of them if there is none."""
    return [result for result in results if not is_disturbed(result)] or list(results)


@dataclass(frozen=True)
class Estimate:
    """The median of several processes, with an interval that holds it with ``confidence``."""

    median: float
    interval: tuple[float, float]
    confidence: float


def estimate(values: Sequence[float]) -> Estimate:
    """The median of ``values``, each of one process, and its interval by the sign test.

    The k-th smallest and the k-th largest of n enclose the true median unless fewer than k fall on one side,
    whatever the distribution. k is the largest that gives 95 %; where even k = 1 does not, it is 1.
    """
    ordered, count = sorted(values), len(values)

    def outside(rank: int) -> float:
        return 2 * sum(math.comb(count, i) for i in range(rank)) / 2**count

    rank = 1
    while rank < count // 2 and outside(rank + 1) <= 1 - CONFIDENCE:
        rank += 1
    interval = ordered[rank - 1], ordered[count - rank]
    return Estimate(statistics.median(ordered), interval, max(0.0, 1 - outside(rank)))
