"""Multi-stream: a query has N clips, and the next is sent when the previous one has completed."""

from __future__ import annotations

from edgevid.benchmarks.harness.scenarios.scenario import (
    HOST_CLOCK,
    INFERENCE_TIMES,
    REPORT_INTERVAL_NS,
    Scenario,
    Timing,
    Workload,
    collection_paused,
    new_samples,
)

STREAMS = 8
"""MLPerf's number of clips per query."""


def run(workload: Workload, duration_s: float) -> Timing:
    """Run a query of ``settings.streams`` clips, or a frame of each of as many streams, after another.

    A sample is the latency of a query. Its clips run one after another, each on all threads: that is how a
    program with one session serves several cameras, and the first answer waits for none of the others. Each
    clip has an input of its own and each stream its own states, so they share no cache lines but those of the
    weights. MLPerf's metric is the 99th percentile of the samples.
    """
    assert workload.new_step, "the session makes further steps"
    count, clock, report = workload.settings.streams or STREAMS, workload.clock, workload.report
    steps = [workload.step, *(workload.new_step() for _ in range(count - 1))]
    for step in steps:
        step()  # the first inference of a stream allocates its buffers
    samples = new_samples()
    record = samples.append
    with collection_paused():
        start = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        end = start
        while end < deadline:
            begin = clock()
            for step in steps:
                step()
            end = clock()
            record(end - begin)
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
        elapsed_s = (clock() - start) / 1e9
    return Timing(
        samples, elapsed_s, inferences=count * len(samples), details={"multi_stream": {"streams": count}}
    )


SCENARIO = Scenario(
    "multi-stream",
    "latency of a query of N clips (--streams); the next starts when it is done",
    "p99 (MLPerf), and p50, p90",
    frozenset({INFERENCE_TIMES, HOST_CLOCK}),
    run,
    order=3,
)
