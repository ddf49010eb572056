"""The gate's test of itself: its trials on simulated machines, and the slow-down that it plants."""

from __future__ import annotations

import numpy as np
import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import self_test
from edgevid.benchmarks.regress.gate import Options
from edgevid.benchmarks.regress.self_test import run, table, upper_bound
from edgevid.benchmarks.regress.slowed import slowed
from edgevid.errors import BenchmarkError


class Machine:
    """Processes of 10 ms per inference, with a spread, and slowed as their worker's command says."""

    def __init__(self, spread: float, disturbed: float = 0.0) -> None:
        self.random = np.random.default_rng(0)
        self.spread, self.disturbed, self.now_s, self.shares = spread, disturbed, 0.0, []

    def measure(self, bundles, duration_s, threads, draw, workers):
        self.now_s += len(bundles)
        return [self.one(float(worker[-1])) for worker in workers]

    def one(self, share):
        self.shares.append(share)
        p50 = 10 * (1 + share) * np.exp(self.spread * self.random.standard_normal())
        others = float(self.random.random() < self.disturbed)
        return {
            "latency_ms": {"p50": p50}, "turn_p50_ms": [p50], "throughput": {"clips_per_s": 1000 / p50},
            "memory_mib": {"peak": 100.0}, "energy_mj_per_clip": None,
            "environment": {"during": {"others_here_cores": others, "stolen_cores": 0.0}},
        }  # fmt: skip


@pytest.fixture
def test_on(tmp_path, monkeypatch):
    """``test_on(machine, **options)``: the result of a self-test there."""
    monkeypatch.setattr(self_test, "TRIALS", 30)
    bundle = write_bundle(tmp_path / "bundle").path

    def run_on(machine: Machine, **options):
        options = Options(**{"budget_s": 120.0, "seed": 0, **options})
        return run(bundle, options, measure=machine.measure, clock=lambda: machine.now_s)

    return run_on


def test_a_quiet_machine_catches_three_percent(test_on):
    result = test_on(Machine(spread=0.005))
    assert [row["slowdown"] for row in result["slowdowns"]] == [0.03, 0.05, 0.10]
    assert all(row["caught"] >= 0.95 and row["passed"] == 0 for row in result["slowdowns"])
    assert result["false_alarms"]["share"] <= 0.02 and result["false_alarms"]["passed"] >= 0.9
    assert "catches a slow-down of 3% in 100% of trials" in result["sentence"]


def test_a_noisy_machine_says_what_it_cannot_detect(test_on):
    result = test_on(Machine(spread=0.5))
    assert "not reliable: raise --budget" in result["sentence"]
    assert result["slowdowns"][0]["inconclusive"] > 0.5


def test_disturbed_processes_cost_time_and_are_said(test_on):
    result = test_on(Machine(spread=0.005, disturbed=0.3))
    assert result["disturbed_processes"] == pytest.approx(0.3, abs=0.1)
    text = table(result)
    assert (
        f"during {result['disturbed_processes']:.0%} of them others" in text
        and "slow-down" in text
        and "10%" in text
    )


def test_each_round_has_every_slowdown_once(test_on):
    machine = Machine(spread=0.005)
    result = test_on(machine)
    rounds = [tuple(machine.shares[i : i + 5]) for i in range(0, len(machine.shares), 5)]
    assert len(rounds) == result["rounds"] == 24, "as many as the budget allows"
    assert set(rounds) == {(0.0, 0.0, 0.03, 0.05, 0.1)}


def test_a_budget_that_is_too_short_is_refused_with_one_that_is_not(test_on):
    with pytest.raises(BenchmarkError, match="use --budget 60s or more"):
        test_on(Machine(spread=0.005), budget_s=20)
    assert test_on(Machine(spread=0.005), budget_s=60)["rounds"] >= 10


def test_a_slowed_step_takes_the_share_longer():
    now_ns, calls = [0], []

    def clock():
        now_ns[0] += 1000
        return now_ns[0]

    def step():
        calls.append(None)
        now_ns[0] += 10_000_000

    slowed(step, 0.05, clock)()
    assert now_ns[0] == pytest.approx(10_500_000, abs=5000) and len(calls) == 1


@pytest.mark.parametrize(("count", "trials", "bound"), [(0, 300, 0.00994), (3, 100, 0.0757), (10, 10, 1.0)])
def test_the_upper_bound_is_clopper_and_pearson_s(count, trials, bound):
    assert upper_bound(count, trials) == pytest.approx(bound, rel=0.01)
