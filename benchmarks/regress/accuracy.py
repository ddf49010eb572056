"""Accuracy as a metric of the gate: the same videos for both bundles, and a test on those that differ.

Of the videos that exactly one of the two has right, half should be the baseline's if neither is better:
McNemar's test ("Note on the sampling error of the difference between correlated proportions", Psychometrika
1947), exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgevid.benchmarks.regress.metrics import IMPROVEMENT, INCONCLUSIVE, PASS, REGRESSION
from edgevid.benchmarks.regress.sequential import ALPHA

NAME = "accuracy_top1"


def accuracy_metric(
    baseline: Mapping[str, bool], candidate: Mapping[str, bool], threshold: float, tests: int = 1
) -> dict[str, Any]:
    """The metric of ``edgevid regress --json``; the arguments say of each video whether it was right.

    It passes if a loss of ``threshold`` of all videos would have been seen; of fewer videos it is
    inconclusive, which does not make the gate so. It is one of so many ``tests`` that share the error.
    """
    alpha = ALPHA / tests
    videos = sorted(baseline.keys() & candidate.keys())
    lost = sum(baseline[video] and not candidate[video] for video in videos)
    won = sum(candidate[video] and not baseline[video] for video in videos)
    smallest = _smallest_loss(lost + won, alpha) / len(videos)
    if _tail(lost, lost + won) <= alpha:
        verdict = REGRESSION
    elif _tail(won, lost + won) <= alpha:
        verdict = IMPROVEMENT
    else:
        verdict = PASS if smallest <= threshold else INCONCLUSIVE
    return {
        "name": NAME,
        "baseline": sum(baseline[video] for video in videos) / len(videos),
        "candidate": sum(candidate[video] for video in videos) / len(videos),
        "ratio": None,
        "interval": [None, None],
        "verdict": verdict,
        "smallest_effect": smallest,
        "videos": len(videos),
        "lost": lost,
        "won": won,
    }


def with_metric(verdict: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    """The gate's document with another metric; a regression of it is one of the whole."""
    others = {name: why for name, why in verdict.get("not_measured", {}).items() if name != metric["name"]}
    result = {**verdict, "metrics": [*verdict["metrics"], metric], "not_measured": others}
    return {**result, "verdict": REGRESSION, "why": ""} if metric["verdict"] == REGRESSION else result


def _tail(count: int, of: int) -> float:
    """The probability of ``count`` heads or more in ``of`` tosses."""
    return sum(math.comb(of, k) for k in range(count, of + 1)) / 2**of


def _smallest_loss(differing: int, alpha: float) -> int:
    """By how many the losses must exceed the wins among at least ``differing`` videos to be a regression."""
    needed = math.ceil(math.log2(1 / alpha))
    return next(
        (2 * lost - differing for lost in range(differing + 1) if _tail(lost, differing) <= alpha), needed
    )
