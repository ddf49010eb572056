"""Server: queries arrive at random, and the metric is the highest rate that keeps a bound on the latency."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.harness.scenarios.scenario import (
    HOST_CLOCK,
    INFERENCE_TIMES,
    REPORT_INTERVAL_NS,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
    wait_until,
)

PERCENTILE = 0.99
DEFAULT_BOUND = 5.0
"""The default bound on the p99, in multiples of the median latency of a query that arrives alone."""
SERVICE_S, SERVICE_SAMPLES = 1.0, 20
PRECISION = 1.05
"""The search ends when the lowest rate that failed is this much above the highest that passed."""
MAX_TRIALS = 8
MAX_STRETCH = 3.0
"""A trial lasts this many times longer at most, to have enough queries for a bound with 99 % confidence."""


@dataclass(frozen=True)
class Trial:
    """Queries at one rate; ``latency_ns`` are from a query's scheduled arrival to its answer.

    ``p99_ms`` is None where a trial was ended early, since too many queries were late already.
    ``p99_bound_ms`` is its upper bound with 99 % confidence, None where the queries are too few for one.
    """

    rate_per_s: float
    latency_ns: Sequence[int]
    elapsed_s: float
    p99_ms: float | None
    p99_bound_ms: float | None
    passed: bool

    def record(self) -> dict[str, Any]:
        return {
            "rate_per_s": self.rate_per_s,
            "queries": len(self.latency_ns),
            "p99_ms": self.p99_ms,
            "p99_bound_ms": self.p99_bound_ms,
            "passed": self.passed,
        }


def run(workload: Workload, duration_s: float) -> Timing:
    """Find the highest rate of Poisson arrivals at which the p99 latency keeps its bound.

    Each rate is tried for ``duration_s`` seconds. One inference runs at a time, in the order of arrival. The
    search starts at the rate that a simulated queue with the measured inference times can bear. A rate passes
    if the upper bound of the p99 with 99 % confidence (MLPerf's early stopping) keeps the bound on the
    latency; where a trial has too few queries, if their plain p99 does.
    """
    from edgevid.benchmarks.harness.arrivals import predicted_rate

    settings = workload.settings
    service_ns = _service(workload)
    alone_ms = statistics.median(service_ns) / 1e6
    bound_ms = settings.latency_bound_ms or DEFAULT_BOUND * alone_ms
    capacity = 1e9 / statistics.fmean(service_ns)
    trials: list[Trial] = []
    best: Trial | None = None
    lowest_failed: float | None = None
    rate = predicted_rate(service_ns, int(bound_ms * 1e6), settings.seed)
    while len(trials) < MAX_TRIALS:
        trial = _try(workload, rate, duration_s, int(bound_ms * 1e6))
        trials.append(trial)
        if trial.passed:
            best = trial
        else:
            lowest_failed = rate
        if best is None:
            rate = 0.8 * rate
        elif lowest_failed is None:
            if rate >= capacity:
                break
            rate = min(1.1 * rate, capacity)
        elif lowest_failed / best.rate_per_s <= PRECISION:
            break
        else:
            rate = (lowest_failed * best.rate_per_s) ** 0.5
    details = {
        "rate_per_s": best.rate_per_s if best else None,
        "latency_bound_ms": bound_ms,
        "alone_p50_ms": alone_ms,
        "seed": settings.seed,
        "trials": [trial.record() for trial in trials],
    }
    shown = best or trials[-1]
    return Timing(
        shown.latency_ns,
        shown.elapsed_s,
        details={"server": details},
        includes=("queueing", "inference"),
        warnings=_warnings(best, trials, bound_ms),
    )


def _warnings(best: Trial | None, trials: list[Trial], bound_ms: float) -> tuple[str, ...]:
    if best is None:
        return (
            f"no rate down to {trials[-1].rate_per_s:.3g} queries/s kept a p99 of {bound_ms:.4g} ms: raise "
            "--latency-bound, or stop other programs",
        )
    if best.p99_bound_ms is None:
        from edgevid.benchmarks.harness.statistics import samples_needed

        need = samples_needed(PERCENTILE)
        return (
            f"{len(best.latency_ns)} queries are too few for a bound on the p99, which needs {need}: "
            f"use --duration {need / best.rate_per_s:.0f}",
        )
    return ()


def _service(workload: Workload) -> Sequence[int]:
    """The times of inferences back to back, without a queue."""
    samples, clock = new_samples(), workload.clock
    with collection_paused():
        start = end = clock()
        while end - start < SERVICE_S * 1e9 or len(samples) < SERVICE_SAMPLES:
            begin = clock()
            workload.step()
            end = clock()
            samples.append(end - begin)
    return samples


def _try(workload: Workload, rate_per_s: float, duration_s: float, bound_ns: int) -> Trial:
    from edgevid.benchmarks.harness.arrivals import arrivals_ns
    from edgevid.benchmarks.harness.statistics import percentile_bound, samples_needed, summary

    seconds = min(MAX_STRETCH * duration_s, max(duration_s, samples_needed(PERCENTILE) / rate_per_s))
    count = max(1, math.ceil(seconds * rate_per_s))
    arrivals = arrivals_ns(rate_per_s, count, workload.settings.seed).tolist()
    # So many may be late that the trial can still pass.
    may_be_late = math.ceil((1 - PERCENTILE) * count)
    latencies, elapsed_s, ended_early = _serve(workload, arrivals, bound_ns, may_be_late)
    if ended_early:
        return Trial(rate_per_s, latencies, elapsed_s, None, None, passed=False)
    p99_ns, bound = summary(latencies)["p99"], percentile_bound(latencies, PERCENTILE)
    return Trial(
        rate_per_s,
        latencies,
        elapsed_s,
        p99_ns / 1e6,
        None if bound is None else bound / 1e6,
        passed=(p99_ns if bound is None else bound) <= bound_ns,
    )


def _serve(
    workload: Workload, arrivals: Sequence[int], bound_ns: int, may_be_late: int
) -> tuple[Sequence[int], float, bool]:
    """Answer each query in turn; the last value is whether it ended early, with too many late answers."""
    step, clock, report = workload.step, workload.clock, workload.report
    samples = new_samples()
    record = samples.append
    late = 0
    with collection_paused():
        start = end = clock()
        next_report = start
        for arrival in arrivals:
            due = start + arrival
            if end < due:
                wait_until(due, clock)
            step()
            end = clock()
            latency = end - due
            record(latency)
            if latency > bound_ns:
                late += 1
                if late > may_be_late:
                    break
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
    return samples, (end - start) / 1e9, late > may_be_late


def timed_loop(workload: Workload, duration_s: float) -> Timing:
    """The loop of a trial in which every query has arrived at the start."""
    samples, elapsed_s, _ = _serve(workload, [0] * int(1e5 * duration_s), 1 << 62, 0)
    return Timing(samples, elapsed_s)


SCENARIO = Scenario(
    "server",
    "time from a query's scheduled arrival (Poisson) to its answer",
    "the highest rate whose p99 keeps --latency-bound",
    frozenset({INFERENCE_TIMES, HOST_CLOCK}),
    run,
    timed_loop=timed_loop,
    order=4,
)
