"""Offline: all queries are available at the start, and the metric is throughput."""

from __future__ import annotations

from edgevid.benchmarks.harness.scenarios.scenario import (
    INFERENCE_TIMES,
    REPORT_INTERVAL_NS,
    TIMES_BETWEEN,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
)


def run(workload: Workload, duration_s: float) -> Timing:
    """Run the same clip back to back, in batches of one.

    The run is timed as a whole (throughput = inferences / wall time), and the clock is read once after each
    batch: a sample is the time from the end of one batch to the end of the next, so the samples cover the
    whole run without gaps, including the harness's own time. They are service times, not latencies: a user
    waits for the whole set in this scenario. MLPerf's metric is throughput. Larger batches and overlapping
    inferences are not measured, so a backend that gains from them may be faster than reported.
    """
    step, clock, report = workload.step, workload.clock, workload.report
    samples = new_samples()
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
    "time from the end of one inference to the end of the next, without gaps",
    "clips/s over the whole run",
    frozenset({INFERENCE_TIMES, TIMES_BETWEEN}),
    run,
    order=2,
    by_default=True,
)
