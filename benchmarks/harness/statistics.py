"""Summaries of raw samples, and warnings about unreliable ones.

All times are milliseconds. Percentiles interpolate linearly between the two nearest samples, as numpy
does by default (definition 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevid.errors import BenchmarkError

SPREAD_LIMIT = 0.20
DRIFT_LIMIT = 0.05
SAMPLES_FOR_P99 = 100
SAMPLES_FOR_DRIFT = 10


def summary(samples_ms: Sequence[float]) -> dict[str, float]:
    """``mean``, ``p50``, ``p90`` and ``p99`` of the samples; ``BenchmarkError`` if there are none."""
    if not len(samples_ms):
        raise BenchmarkError("no inference was timed: raise --duration")
    values = np.asarray(samples_ms, dtype=np.float64)
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return {"mean": float(values.mean()), "p50": float(p50), "p90": float(p90), "p99": float(p99)}


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
    if count < SAMPLES_FOR_P99:
        verb = "is" if count == 1 else "are"
        warnings.append(
            f"p99 is little more than the slowest inference, as there {verb} {count} of the "
            f"{SAMPLES_FOR_P99} samples it needs: raise --duration"
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
