"""The server scenario: random arrivals, a queue, and the search for the highest rate that keeps a bound."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks.harness.arrivals import arrivals_ns, predicted_rate, queue_latencies_ns
from edgevid.benchmarks.harness.protocol import Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.benchmarks.harness.scenarios import scenario as scenario_module
from edgevid.benchmarks.harness.scenarios.scenario import Workload

MS = 1_000_000


class Clock:
    """Moves only while something sleeps or runs."""

    def __init__(self, monkeypatch) -> None:
        self.now_ns = 0
        monkeypatch.setattr(scenario_module.time, "sleep", self.sleep)

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += max(50_000, int(seconds * 1e9))


@pytest.fixture
def serve(monkeypatch):
    """``serve(service_ms, duration_s, **settings)``: the timing of a network that takes that long."""

    def run(service_ms: float, duration_s: float = 20.0, **settings):
        clock = Clock(monkeypatch)

        def step() -> None:
            clock.now_ns += int(service_ms * MS)

        work = Workload(step, lambda *_: None, clock, Settings(**settings))
        return SCENARIOS["server"].run(work, duration_s)

    return run


def test_arrivals_are_a_poisson_process_of_the_seed():
    arrivals = arrivals_ns(100, 20_000, seed=3)
    gaps = np.diff(arrivals) / 1e9
    assert gaps.mean() == pytest.approx(0.01, rel=0.03) and gaps.std() == pytest.approx(0.01, rel=0.05)
    assert np.array_equal(arrivals, arrivals_ns(100, 20_000, seed=3))
    assert not np.array_equal(arrivals, arrivals_ns(100, 20_000, seed=4))


def test_the_queue_is_that_of_a_loop():
    random = np.random.default_rng(1)
    arrivals = np.cumsum(random.integers(0, 20, 500))
    service = random.integers(1, 15, 500)
    done, expected = 0, []
    for arrival, length in zip(arrivals, service):
        done = max(arrival, done) + length
        expected.append(done - arrival)
    assert queue_latencies_ns(arrivals, service).tolist() == expected


def test_the_predicted_rate_is_that_of_queueing_theory():
    """An M/M/1 queue's latency is exponential with the rate mu - lambda: p99 = ln(100) / (mu - lambda)."""
    service = np.random.default_rng(2).exponential(10 * MS, 5000)
    bound_s = 0.2
    expected = 1e9 / service.mean() - np.log(100) / bound_s
    assert predicted_rate(service, int(bound_s * 1e9), 0) == pytest.approx(expected, rel=0.05)


def test_a_latency_counts_from_the_scheduled_arrival(serve):
    timing = serve(10, latency_bound_ms=1000)
    assert timing.includes == ("queueing", "inference")
    assert min(timing.samples_ms) == pytest.approx(10, abs=0.051), "a query alone waits for nothing"
    assert max(timing.samples_ms) > 20, "a query behind another waits for it"


def test_the_rate_that_was_found_keeps_the_bound_and_a_little_more_does_not(serve):
    timing = serve(10, latency_bound_ms=50)
    server = timing.details["server"]
    passed = [trial for trial in server["trials"] if trial["passed"]]
    failed = [trial for trial in server["trials"] if not trial["passed"]]
    assert server["rate_per_s"] == max(trial["rate_per_s"] for trial in passed)
    assert all(trial["p99_bound_ms"] <= 50 for trial in passed)
    assert 1 < min(trial["rate_per_s"] for trial in failed) / server["rate_per_s"] <= 1.05
    assert timing.warnings == ()
    assert np.percentile(timing.samples_ms, 99) <= 50


@pytest.mark.slow
def test_a_tighter_bound_allows_a_lower_rate(serve):
    rates = [serve(10, latency_bound_ms=bound).details["server"]["rate_per_s"] for bound in (20, 50, 200)]
    assert rates == sorted(rates) and rates[0] < 0.6 * rates[2] <= 100


def test_a_bound_below_the_time_of_one_inference_is_kept_by_no_rate(serve):
    timing = serve(10, latency_bound_ms=9)
    assert timing.details["server"]["rate_per_s"] is None
    assert "raise --latency-bound" in timing.warnings[0]
    assert len(timing.samples_ms) >= 1


def test_the_default_bound_is_a_multiple_of_the_latency_alone(serve):
    server = serve(10).details["server"]
    assert server["alone_p50_ms"] == pytest.approx(10)
    assert server["latency_bound_ms"] == pytest.approx(50)


def test_too_few_queries_for_a_bound_are_said(serve):
    timing = serve(10, duration_s=1.0, latency_bound_ms=100)
    passed = [trial for trial in timing.details["server"]["trials"] if trial["passed"]]
    assert passed and all(trial["p99_bound_ms"] is None for trial in passed)
    assert "too few for a bound on the p99" in timing.warnings[0] and "--duration" in timing.warnings[0]


def test_the_same_seed_gives_the_same_result(serve):
    assert serve(10, seed=5).details == serve(10, seed=5).details
