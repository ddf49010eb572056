"""What the timed loops record, with a clock that the test moves."""

from __future__ import annotations

import gc
import sys
import types

import pytest

from edgevid.benchmarks.harness import scenarios
from edgevid.benchmarks.harness.scenarios import SCENARIOS, overhead_us, scenario_named
from edgevid.benchmarks.harness.scenarios.scenario import HERE, INFERENCE_TIMES, Scenario, Timing
from edgevid.benchmarks.harness.warmup import warm_up
from edgevid.errors import BenchmarkError

MS = 1_000_000


class Clock:
    """Moves only when an inference or a report takes its time."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def takes(self, *milliseconds: float):
        """A step whose n-th call takes the n-th time; the last one repeats."""
        times = list(milliseconds)

        def step() -> None:
            self.now_ns += int((times.pop(0) if len(times) > 1 else times[0]) * MS)

        return step


@pytest.fixture
def clock(monkeypatch) -> Clock:
    fake = Clock()
    for scenario in SCENARIOS.values():
        module = sys.modules[scenario.run.__module__]
        timers = types.SimpleNamespace(perf_counter_ns=fake, sleep=lambda s: fake.takes(1000 * s)())
        monkeypatch.setattr(module, "time", timers)
    return fake


def quiet(elapsed_s: float, samples: list[int]) -> None:
    pass


def test_single_stream_records_each_inference_and_not_what_lies_between(clock):
    def slow_report(elapsed_s, samples):
        clock.now_ns += 5 * MS

    timing = SCENARIOS["single-stream"].run(clock.takes(10, 20, 30), 0.05, slow_report)
    assert timing.samples_ms == [10.0, 20.0, 30.0]
    assert timing.elapsed_s == pytest.approx(0.065)


def test_offline_samples_cover_the_whole_run(clock):
    def slow_report(elapsed_s, samples):
        clock.now_ns += 5 * MS

    timing = SCENARIOS["offline"].run(clock.takes(10, 20, 30), 0.05, slow_report)
    assert sum(timing.samples_ms) == pytest.approx(1000 * timing.elapsed_s)


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_inference_longer_than_the_duration_is_made_once_and_kept(clock, name):
    timing = scenario_named(name).run(clock.takes(100), 0.01, quiet)
    assert timing.samples_ms == [100.0]
    assert timing.inferences_per_s == pytest.approx(10)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_garbage_is_collected_inside_the_loop_and_the_old_state_returns(name):
    states = []
    scenario_named(name).run(lambda: states.append(gc.isenabled()), 0.001, quiet)
    assert not any(states) and gc.isenabled()


@pytest.mark.parametrize("name", SCENARIOS)
def test_garbage_collection_returns_after_an_error(name):
    def fails() -> None:
        raise BenchmarkError("no")

    with pytest.raises(BenchmarkError):
        scenario_named(name).run(fails, 0.01, quiet)
    assert gc.isenabled()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_overhead_is_that_of_the_scenarios_own_loop(clock, monkeypatch, name):
    monkeypatch.setattr(scenarios, "_nothing", clock.takes(0.005))
    assert overhead_us(name) == pytest.approx(5.0)


def test_a_pause_that_a_scenario_intends_is_no_overhead(monkeypatch):
    resting = Scenario("resting", "", "", HERE, lambda *_: Timing([1000, 1000], 2.0, paused_s=1.5))
    monkeypatch.setitem(vars(scenarios), "SCENARIOS", {"resting": resting})
    assert overhead_us("resting") == pytest.approx(250_000)


def test_a_device_runs_the_scenarios_whose_times_it_can_tell():
    assert scenarios.scenarios_for() == tuple(SCENARIOS)
    assert tuple(SCENARIOS)[:2] == ("single-stream", "offline")
    assert "single-stream" in scenarios.scenarios_for(frozenset({INFERENCE_TIMES}))
    assert "offline" not in scenarios.scenarios_for(frozenset({INFERENCE_TIMES}))


@pytest.mark.parametrize("name", ["multi-stream", "server", "camera", "sustained"])
def test_a_planned_scenario_is_refused_in_one_line_that_names_those_that_exist(name):
    with pytest.raises(
        BenchmarkError, match=f"cannot be measured yet: use --scenario {' or '.join(SCENARIOS)}"
    ):
        scenario_named(name)


def test_warm_up_goes_on_while_the_latency_falls_and_keeps_every_sample(clock):
    times = [100.0] * 5 + [80.0] * 5 + [60.0] * 5 + [60.0] * 5
    warm = warm_up(clock.takes(*times), quiet, limit_s=60, clock=clock)
    assert warm.steady and warm.samples_ms == times
    assert warm.warnings() == []


def test_warm_up_of_a_fast_network_lasts_for_two_windows_of_time(clock):
    warm = warm_up(clock.takes(1), quiet, limit_s=60, clock=clock)
    assert warm.steady and warm.elapsed_s == pytest.approx(0.6)


def test_warm_up_gives_up_at_its_limit_and_says_so(clock):
    growing = [100.0 * 1.1**n for n in range(60)]
    warm = warm_up(clock.takes(*growing), quiet, limit_s=3, clock=clock)
    assert not warm.steady and warm.elapsed_s >= 3
    assert "still changing" in warm.warnings()[0]
