"""Offline: all the queries are there from the beginning; what counts is the throughput."""

from __future__ import annotations

import time

from edgevid.benchmarks.harness.scenarios.scenario import (
    INFERENCE_TIMES,
    REPORT_INTERVAL_NS,
    TIMES_BETWEEN,
    Clock,
    Report,
    Scenario,
    Step,
    Timing,
    collection_paused,
)


def run(step: Step, duration_s: float, report: Report, clock: Clock | None = None) -> Timing:
    """The same clip is run back to back, in batches of the one clip that ``step`` holds. The run is timed
    as a whole (throughput = inferences / wall time), and the clock is read once after each batch: a
    sample is the time from the end of one batch to the end of the next, so that the samples cover the
    whole run without a gap, the harness's own time included. They are service times, not the latency a
    user would see, who in this scenario waits for the whole set. MLPerf's figure of merit is the
    throughput. A batch of several clips and inferences that overlap are not tried, so a backend that
    gains from them could be faster than is reported.
    """
    clock = clock or time.perf_counter_ns
    samples: list[int] = []
    record = samples.append
    with collection_paused():
        start = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        previous = start
        while previous < deadline:
            step()
            end = clock()
            record(end - previous)
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
            previous = end
        elapsed_s = (previous - start) / 1e9
    return Timing(samples, elapsed_s)


SCENARIO = Scenario(
    "offline",
    "time from the end of one inference to the end of the next; together they fill the run",
    "clips/s over the whole run",
    frozenset({INFERENCE_TIMES, TIMES_BETWEEN}),
    run,
    order=2,
)
