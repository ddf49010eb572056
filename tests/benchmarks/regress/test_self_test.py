"""The gate's test of itself: its trials on simulated machines, and the slow-down that it plants."""

from __future__ import annotations

import numpy as np
import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import self_test
from edgevid.benchmarks.regress.pairs import Options
from edgevid.benchmarks.regress.self_test import run, table, upper_bound
from edgevid.benchmarks.regress.slowed import slowed


class Machine:
    """Pairs of processes of 10 ms per inference, with a spread, slowed as their workers' commands say."""

    def __init__(self, spread: float, disturbed: float = 0.0) -> None:
        self.random = np.random.default_rng(0)
        self.spread, self.disturbed, self.now_s, self.kinds = spread, disturbed, 0.0, []

    def measure(self, bundles, duration_s, threads, draw, workers):
        self.now_s += 2.0
        plain, share = (float(worker[-1]) for worker in workers)
        assert plain == 0
        self.kinds.append(share)
        return [self.result(plain), self.result(share)]

    def result(self, share: float) -> dict:
        p50 = 10 * (1 + share) * np.exp(self.spread * self.random.standard_normal())
        others = float(self.random.random() < self.disturbed)
        return {
            "turn_p50_ms": [p50] * 5, "latency_ms": {"p50": p50}, "latency_bounds_ms": {"p99": None},
            "throughput": {"clips_per_s": 1000 / p50},
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
    result = test_on(Machine(spread=0.5), budget_s=40.0)
    assert "not reliable: raise --budget" in result["sentence"]
    assert result["slowdowns"][0]["inconclusive"] > 0.5


def test_disturbed_pairs_cost_time_and_are_said(test_on):
    result = test_on(Machine(spread=0.005, disturbed=0.1))
    assert result["disturbed"] == pytest.approx(0.19, abs=0.1)
    text = table(result)
    assert f"during {result['disturbed']:.0%} of them others" in text
    assert "slow-down" in text and "10%" in text
    result = test_on(Machine(spread=0.005, disturbed=1.0), budget_s=20.0)
    assert "others used its cores during 100% of the pairs" in result["sentence"]


def test_each_kind_is_measured_for_the_budget_in_random_order(test_on):
    machine = Machine(spread=0.005)
    result = test_on(machine, budget_s=40.0)
    rounds = [tuple(machine.kinds[i : i + 4]) for i in range(0, len(machine.kinds), 4)]
    assert result["measured_pairs"] == len(machine.kinds) == 4 * 20
    assert {tuple(sorted(one)) for one in rounds} == {(0.0, 0.03, 0.05, 0.1)} and len(set(rounds)) > 5


def test_a_budget_for_few_pairs_catches_nothing(test_on):
    result = test_on(Machine(spread=0.005), budget_s=10.0)
    assert result["slowdowns"][-1]["inconclusive"] == 1 and "raise --budget" in result["sentence"]


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
