"""MLPerf's own load generator as a cross-check: the same bounds, and the same latency of the same work."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from edgevid.benchmarks.harness.scenarios.scenario import Workload
from edgevid.benchmarks.harness.statistics import percentile_bound, samples_needed

lg = pytest.importorskip("mlperf_loadgen", reason="MLPerf's LoadGen has no package for this machine")


def single_stream(step, seconds: float, folder) -> str:
    """The summary that LoadGen writes of a run in its SingleStream scenario."""

    def issue(queries) -> None:
        for query in queries:
            step()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, 0, 0)])

    def nothing(*_) -> None:
        pass

    settings, logs = lg.TestSettings(), lg.LogSettings()
    settings.scenario, settings.mode = lg.TestScenario.SingleStream, lg.TestMode.PerformanceOnly
    settings.single_stream_expected_latency_ns = 200_000
    settings.min_duration_ms = settings.max_duration_ms = int(1000 * seconds)
    logs.log_output = lg.LogOutputSettings()
    logs.log_output.outdir = str(folder)
    lg.StartTestWithLogSettings(
        lg.ConstructSUT(issue, nothing), lg.ConstructQSL(1, 1, nothing, nothing), settings, logs
    )
    return (folder / "mlperf_log_summary.txt").read_text()


def number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    assert match, text
    return int(match[1])


def waiting(seconds: float):
    def step() -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    return step


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> str:
    return single_stream(waiting(2e-4), 0.5, tmp_path_factory.mktemp("loadgen"))


def test_the_bound_is_the_estimate_of_loadgens_early_stopping(summary):
    needed = number(r"Processed at least (\d+) queries", summary)
    count = number(r"Processed at least \d+ queries \((\d+)\)", summary)
    discarded = number(r"Would discard (\d+) highest latency queries", summary)
    assert samples_needed(0.9) == needed
    assert percentile_bound(range(count), 0.9) == count - 1 - discarded


def test_loadgen_times_the_same_inferences_alike(tmp_path):
    """Its own latencies of inferences that are timed with the harness's clock too; load slows both down."""
    runs: list[int] = []
    run = waiting(1e-3)

    def step() -> None:
        begin = Workload.clock()
        run()
        runs.append(Workload.clock() - begin)

    text = single_stream(step, 0.5, tmp_path)
    loadgen_ns = number(r"50\.00 percentile latency \(ns\)\s*:\s*(\d+)", text)
    assert len(runs) >= 50 and np.median(runs) == pytest.approx(loadgen_ns, rel=0.05)
