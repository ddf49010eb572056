"""What the timed loops record, with a clock that the test moves."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import pytest

from edgevid.benchmarks.harness import scenarios
from edgevid.benchmarks.harness.protocol import Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS, overhead_us, scenario_named
from edgevid.benchmarks.harness.scenarios import scenario as scenario_module
from edgevid.benchmarks.harness.scenarios.scenario import (
    HERE,
    INFERENCE_TIMES,
    Scenario,
    Timing,
    Workload,
)
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

    def sleep(self, seconds: float) -> None:
        self.now_ns += max(1000, int(seconds * 1e9))


@pytest.fixture
def clock(monkeypatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(scenario_module.time, "sleep", fake.sleep)
    return fake


def quiet(elapsed_s: float, samples: Sequence[int]) -> None:
    pass


LOOPS = [scenario.name for scenario in SCENARIOS.values() if INFERENCE_TIMES in scenario.needs]
"""The scenarios that run a step: all but those with real frames."""
ONE_BY_ONE = ["single-stream", "offline", "sustained"]


def run(name: str, step, duration_s: float, clock=time.perf_counter_ns, report=quiet, **settings):
    work = Workload(step, report, clock, Settings(**settings), new_step=lambda: step)
    return scenario_named(name).run(work, duration_s)


def test_single_stream_records_each_inference_and_not_what_lies_between(clock):
    def slow_report(elapsed_s, samples):
        clock.now_ns += 5 * MS

    timing = run("single-stream", clock.takes(10, 20, 30), 0.05, clock, slow_report)
    assert timing.samples_ms == [10.0, 20.0, 30.0]
    assert timing.elapsed_s == pytest.approx(0.065)


def test_offline_samples_cover_the_whole_run(clock):
    def slow_report(elapsed_s, samples):
        clock.now_ns += 5 * MS

    timing = run("offline", clock.takes(10, 20, 30), 0.05, clock, slow_report)
    assert sum(timing.samples_ms) == pytest.approx(1000 * timing.elapsed_s)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_an_inference_longer_than_the_duration_is_made_once_and_kept(clock, name):
    timing = run(name, clock.takes(100), 0.01, clock)
    assert timing.samples_ms == [100.0]
    assert timing.inferences_per_s == pytest.approx(10)


def test_a_query_of_several_streams_is_one_sample_of_several_inferences(clock):
    timing = run("multi-stream", clock.takes(10), 0.1, clock, streams=4)
    assert timing.samples_ms == [40.0, 40.0, 40.0]
    assert timing.inferences_per_s == pytest.approx(100)
    assert timing.details == {"multi_stream": {"streams": 4}}


def test_each_of_several_streams_has_a_step_of_its_own(clock):
    steps = []

    def new_step():
        steps.append(clock.takes(1))
        return steps[-1]

    work = Workload(clock.takes(1), quiet, clock, Settings(streams=3), new_step)
    SCENARIOS["multi-stream"].run(work, 0.01)
    assert len(steps) == 2


@pytest.mark.parametrize("name", LOOPS)
def test_no_garbage_is_collected_inside_the_loop_and_the_old_state_returns(clock, name):
    states = []

    def step() -> None:
        states.append(gc.isenabled())
        clock.now_ns += MS

    run(name, step, 0.01, clock)
    assert not any(states[10:]) and gc.isenabled()


@pytest.mark.parametrize("name", LOOPS)
def test_garbage_collection_returns_after_an_error(name):
    def fails() -> None:
        raise BenchmarkError("no")

    with pytest.raises(BenchmarkError):
        run(name, fails, 0.01)
    assert gc.isenabled()


@pytest.mark.parametrize("name", LOOPS)
def test_the_overhead_is_that_of_the_scenarios_own_loop(monkeypatch, name):
    def nothing() -> None:
        end = time.perf_counter_ns() + 20_000
        while time.perf_counter_ns() < end:
            pass

    monkeypatch.setattr(scenarios, "_nothing", nothing)
    assert 20 <= overhead_us(name, 0.02) < 2000


def test_delays_of_real_frames_have_no_overhead_of_a_loop():
    assert overhead_us("camera") is None


def test_a_pause_that_a_scenario_intends_is_no_overhead(monkeypatch):
    resting = Scenario("resting", "", "", HERE, lambda *_: Timing([1000, 1000], 2.0, paused_s=1.5))
    monkeypatch.setitem(vars(scenarios), "SCENARIOS", {"resting": resting})
    assert overhead_us("resting") == pytest.approx(250_000)


def test_a_device_runs_the_scenarios_whose_times_it_can_tell():
    assert scenarios.scenarios_for() == tuple(SCENARIOS)
    assert tuple(SCENARIOS)[:2] == ("single-stream", "offline")
    assert "single-stream" in scenarios.scenarios_for(frozenset({INFERENCE_TIMES}))
    assert "offline" not in scenarios.scenarios_for(frozenset({INFERENCE_TIMES}))


def test_a_scenario_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(BenchmarkError, match=f"'burst': use --scenario {' or '.join(SCENARIOS)}"):
        scenario_named("burst")


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
