"""Multi-stream: a query has N clips, and the next is sent when the previous one has completed."""

from __future__ import annotations

from dataclasses import replace

from edgevid.benchmarks.harness.scenarios import single_stream
from edgevid.benchmarks.harness.scenarios.scenario import (
    HOST_CLOCK,
    INFERENCE_TIMES,
    Scenario,
    Timing,
    Workload,
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
    count = workload.settings.streams or STREAMS
    steps = [workload.step, *(workload.new_step() for _ in range(count - 1))]

    def query() -> None:
        for step in steps:
            step()

    query()  # the first inference of a stream allocates its buffers
    timing = single_stream.run(replace(workload, step=query), duration_s)
    details = {"multi_stream": {"streams": count}}
    return replace(timing, inferences=count * len(timing.samples_ns), details=details)


SCENARIO = Scenario(
    "multi-stream",
    "latency of a query of N clips (--streams); the next starts when it is done",
    "p99 (MLPerf), and p50, p90",
    frozenset({INFERENCE_TIMES, HOST_CLOCK}),
    run,
    order=3,
)
