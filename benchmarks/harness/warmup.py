"""Warm up until the latency is steady, or until a time limit.

The first inferences are slow for reasons unrelated to the network: page faults, starting threads, kernel
selection, CPU frequency scaling. Their samples are excluded from the measurement, but returned, so that
anyone can check that excluding them was fair.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SAMPLES = 5
WINDOW_NS = 300_000_000
AGREEMENT = 0.03
LIMIT_S = 10.0


@dataclass(frozen=True)
class WarmUp:
    """Every warm-up sample in milliseconds; ``steady``: whether the last two windows agreed."""

    samples_ms: list[float]
    steady: bool
    elapsed_s: float

    def warnings(self) -> list[str]:
        if self.steady:
            return []
        return [
            f"the latency was still changing by more than {AGREEMENT:.0%} after {self.elapsed_s:.1f} s of "
            "warm-up: stop other programs, and measure again"
        ]


def warm_up(
    step: Callable[[], None],
    report: Callable[[float, list[int]], None],
    limit_s: float = LIMIT_S,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> WarmUp:
    """Run ``step`` until the medians of two successive windows agree within ``AGREEMENT``.

    A window is at least five inferences and at least 0.3 s, so that a fast network does not count as steady
    before the CPU has left its idle frequency. Stops after ``limit_s`` seconds in any case, and runs at least
    one inference.
    """
    samples: list[int] = []
    previous: float | None = None
    start = window_start = now = clock()
    window_first = 0
    while now - start < limit_s * 1e9:
        begin = clock()
        step()
        now = clock()
        samples.append(now - begin)
        report((now - start) / 1e9, samples)
        if len(samples) - window_first < WINDOW_SAMPLES or now - window_start < WINDOW_NS:
            continue
        median = statistics.median(samples[window_first:])
        if previous is not None and abs(median - previous) <= AGREEMENT * previous:
            return WarmUp([sample / 1e6 for sample in samples], True, (now - start) / 1e9)
        previous, window_first, window_start = median, len(samples), now
    return WarmUp([sample / 1e6 for sample in samples], False, (now - start) / 1e9)
