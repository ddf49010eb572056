"""Single-stream: the next query is sent when the previous one has completed."""

from __future__ import annotations

from edgevid.benchmarks.harness.scenarios.scenario import (
    INFERENCE_TIMES,
    REPORT_INTERVAL_NS,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
)


def run(workload: Workload, duration_s: float) -> Timing:
    """Run one query after another; a sample is the latency of one, from just before to just after it.

    Samples exclude the harness's work between inferences. A query is one clip, or one pushed frame of a
    streaming bundle. MLPerf's metric is the 90th percentile of the samples.
    """
    step, clock, report = workload.step, workload.clock, workload.report
    samples = new_samples()
    record = samples.append
    with collection_paused():
        start = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        end = start
        while end < deadline:
            begin = clock()
            step()
            end = clock()
            record(end - begin)
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
        elapsed_s = (clock() - start) / 1e9
    return Timing(samples, elapsed_s)


SCENARIO = Scenario(
    "single-stream",
    "latency of one inference; the next starts when it is done",
    "p90 (MLPerf), and p50, p99",
    frozenset({INFERENCE_TIMES}),
    run,
    order=1,
    by_default=True,
)
