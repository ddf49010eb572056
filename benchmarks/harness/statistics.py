"""Summaries of raw samples, and warnings about unreliable ones.

All times are milliseconds. Percentiles interpolate linearly between the two nearest samples, as numpy
does by default (definition 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from edgevid.errors import BenchmarkError

SPREAD_LIMIT = 0.20
DRIFT_LIMIT = 0.05
SAMPLES_FOR_DRIFT = 10
CONFIDENCE = 0.99
"""Of the bounds of percentiles, as in MLPerf Inference."""
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def summary(samples_ms: Sequence[float]) -> dict[str, float]:
    """``mean``, ``p50``, ``p90`` and ``p99`` of the samples; ``BenchmarkError`` if there are none."""
    if not len(samples_ms):
        raise BenchmarkError("no inference was timed: raise --duration")
    values = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return {"mean": float(values.mean()), "p50": float(p50), "p90": float(p90), "p99": float(p99)}


def percentile_bound(samples: Sequence[float], share: float, confidence: float = CONFIDENCE) -> float | None:
    """An upper bound of a percentile (``share`` 0.9 for p90) that holds with ``confidence``.

    Of n samples, at most q lie below the true percentile with this confidence, q being the quantile of
    Binomial(n, share); so the sample with q + 1 below it is a bound, whatever the distribution. It is the
    estimate of MLPerf LoadGen's early stopping, which takes one sample more than the least that would do.
    None if the samples are too few.
    """
    rank = _binomial_quantile(len(samples), share, confidence) + 1
    if rank >= len(samples):
        return None
    return float(np.partition(np.asarray(samples), rank)[rank])


@functools.cache
def samples_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """The samples that a bound needs: the fewest of which one or none exceeds the percentile by chance."""
    count = 1
    while share**count + count * (1 - share) * share ** (count - 1) > 1 - confidence:
        count += 1
    return count


def bounds_ms(samples_ms: Sequence[float]) -> dict[str, float | None]:
    """The upper bound of each percentile of :func:`summary`; None where the samples are too few."""
    return {name: percentile_bound(samples_ms, share) for name, share in PERCENTILES.items()}


def samples_missing(count: int) -> dict[str, int]:
    """How many more samples each percentile needs for a bound; only those that lack any."""
    missing = {name: samples_needed(share) - count for name, share in PERCENTILES.items()}
    return {name: number for name, number in missing.items() if number > 0}


def _binomial_quantile(count: int, share: float, confidence: float) -> int:
    """The smallest k with P(Binomial(count, share) <= k) >= confidence."""
    k = np.arange(1, count + 1)
    steps = np.log((count - k + 1) / k) + math.log(share / (1 - share))
    log_probability = count * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])
    return int(np.searchsorted(np.cumsum(np.exp(log_probability)), confidence))


def relative_spread(samples_ms: Sequence[float]) -> float:
    """(p90 - p10) / p50: the width of the middle 80 % of the samples relative to the median."""
    p10, p50, p90 = np.percentile(samples_ms, (10, 50, 90))
    return float((p90 - p10) / p50) if p50 else 0.0


def drift(samples_ms: Sequence[float]) -> float:
    """The relative change from the first to the second half's median; above 0 is slower."""
    values = np.asarray(samples_ms, dtype=np.float64)
    first, second = np.array_split(values, 2)
    before = np.median(first)
    return float(np.median(second) / before - 1) if before else 0.0


def stability_warnings(samples_ms: Sequence[float]) -> list[str]:
    """One sentence for each reason to distrust the samples."""
    count = len(samples_ms)
    warnings = []
    if missing := samples_missing(count):
        names = " and ".join(missing)
        warnings.append(
            f"{names} {'has' if len(missing) == 1 else 'have'} no bound with {CONFIDENCE:.0%} confidence, as "
            f"there are {count} samples and {max(missing.values())} more are needed: raise --duration"
        )
    spread = relative_spread(samples_ms)
    if spread > SPREAD_LIMIT:
        warnings.append(
            f"the samples spread widely ((p90 - p10) / p50 is {spread:.0%}): "
            "stop other programs, fix the CPU frequency, and measure again"
        )
    if count >= SAMPLES_FOR_DRIFT:
        change = drift(samples_ms)
        if abs(change) > DRIFT_LIMIT:
            word = "slower" if change > 0 else "faster"
            warnings.append(
                f"the second half is {abs(change):.0%} {word} than the first: "
                "let the device reach a steady temperature and load, and measure again"
            )
    return warnings
