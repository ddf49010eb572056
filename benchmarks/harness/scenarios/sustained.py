"""Sustained: run for as long as asked, and watch latency, clock and temperature: when does it throttle?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgevid.benchmarks.harness.scenarios.scenario import (
    HOST_CLOCK,
    INFERENCE_TIMES,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
)
from edgevid.host.processor import clock_mhz
from edgevid.host.thermal import temperatures_c

DURATION_S = 1800.0
INTERVAL_NS = 1_000_000_000
FIRST_S = 10.0
"""The beginning, which later times are compared with."""
THROTTLED = 1.05
"""A device throttles if it is at least this much slower than in the beginning, from then until the end."""
MIN_THROTTLED_S = 5.0


@dataclass(frozen=True)
class Interval:
    """About a second: when it ended, its median latency, and the clock and the hottest sensor at its end."""

    time_s: float
    p50_ms: float
    clock_mhz: float | None
    temperature_c: float | None


def run(workload: Workload, duration_s: float) -> Timing:
    """Run one inference after another; a sample is the latency of one.

    Clock and temperature are read once a second between two inferences; the time that this takes is paused.
    """
    step, clock = workload.step, workload.clock
    samples = new_samples()
    record = samples.append
    intervals: list[Interval] = []
    paused = first = 0
    with collection_paused():
        start = end = clock()
        deadline, next_look = start + int(duration_s * 1e9), start + INTERVAL_NS
        while end < deadline:
            begin = clock()
            step()
            end = clock()
            record(end - begin)
            if end >= next_look:
                intervals.append(_look(samples[first:], (end - start) / 1e9))
                first = len(samples)
                workload.report((end - start) / 1e9, samples)
                next_look = (now := clock()) + INTERVAL_NS
                paused += now - end
        elapsed_s = (end - start) / 1e9
    details = {"sustained": {**throttling(intervals), "intervals": [asdict(item) for item in intervals]}}
    return Timing(samples, elapsed_s, paused / 1e9, details=details)


def _look(samples: Sequence[int], time_s: float) -> Interval:
    temperatures = temperatures_c().values()
    return Interval(time_s, statistics.median(samples) / 1e6, clock_mhz(), max(temperatures, default=None))


def throttling(intervals: Sequence[Interval]) -> dict[str, Any]:
    """``first_p50_ms`` of the first ten seconds, ``steady_p50_ms`` of the last third of the run, and
    ``throttled_after_s``: when the device became slower for good, null if it did not.
    """
    if not intervals:
        return {"first_p50_ms": None, "steady_p50_ms": None, "throttled_after_s": None}
    first = [item.p50_ms for item in intervals if item.time_s <= FIRST_S] or [intervals[0].p50_ms]
    first_ms = statistics.median(first)
    last = intervals[2 * len(intervals) // 3 :]
    return {
        "first_p50_ms": first_ms,
        "steady_p50_ms": statistics.median(item.p50_ms for item in last),
        "throttled_after_s": _throttled_after_s(intervals, THROTTLED * first_ms),
    }


def _throttled_after_s(intervals: Sequence[Interval], limit_ms: float) -> float | None:
    """The end of the last interval below ``limit_ms``, if at least ``MIN_THROTTLED_S`` follow it."""
    fast = [item.time_s for item in intervals if item.p50_ms < limit_ms]
    onset_s = fast[-1] if fast else 0.0
    return onset_s if intervals[-1].time_s - onset_s >= MIN_THROTTLED_S else None


SCENARIO = Scenario(
    "sustained",
    "latency of one inference, for 30 minutes or --duration",
    "p50 of the last third, and the time to throttling",
    frozenset({INFERENCE_TIMES, HOST_CLOCK}),
    run,
    duration_s=DURATION_S,
    order=6,
)
