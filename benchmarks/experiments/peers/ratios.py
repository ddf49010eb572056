"""Ratios of two contestants' times, paired by round, and how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
CONFIDENCE = 0.95
SEED = 0


@dataclass(frozen=True)
class Ratio:
    """The median of ``pairs`` ratios and its bootstrap 95 % confidence interval."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """The median over rounds of ``over / under``; element i of both is the time in round i.

    The interval is the percentile bootstrap (Efron, "Bootstrap Methods", Annals of Statistics 1979): rounds
    are drawn with replacement, always by the same seed, so the same samples give the same interval.
    """
    if len(over) != len(under) or not len(over):
        raise ValueError(f"{len(over)} and {len(under)} rounds are no pairs")
    values = np.asarray(over, np.float64) / np.asarray(under, np.float64)
    drawn = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[drawn], axis=1)
    low, high = np.quantile(medians, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Ratio(float(np.median(values)), float(low), float(high), len(values))


def of_rounds(samples_ms: Sequence[Sequence[float]]) -> list[float]:
    """One time for each round: the median of its turn."""
    return [float(np.median(turn)) for turn in samples_ms]
