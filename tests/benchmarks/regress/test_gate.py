"""The gate on simulated measurements: what it decides, when it stops, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
from one_bundle import CLIP, write_bundle

from edgevid.benchmarks.regress.gate import compare
from edgevid.benchmarks.regress.pairs import Options, is_disturbed
from edgevid.benchmarks.regress.report import report
from edgevid.errors import BenchmarkError

ENVIRONMENT = {
    "device": "a simulated CPU", "board": None, "power_mode": None, "os": "Debian", "kernel": "6.1",
    "python": "3.11", "packages": {"onnxruntime": "1.32"}, "thread_variables": {}, "cpu": {"governor": None},
    "during": {"others_here_cores": 0.0, "stolen_cores": 0.0},
}  # fmt: skip


class Machine:
    """Measurements of 10 ms and 100 MiB with a drift of 30 % and a spread of 1 %; each takes a second."""

    def __init__(self, slower: float = 1.0, memory: float = 1.0) -> None:
        self.factors = {"old": (1.0, 1.0), "new": (slower, memory)}
        self.random = np.random.default_rng(0)
        self.now_s = 0.0
        self.order: list[str] = []
        self.change = lambda result, name, number: None

    def measure(self, bundles, duration_s, threads, draw):
        if duration_s == 0:  # fills the caches
            return [self.one(bundle) for bundle in bundles]
        results = {}
        for bundle in draw.sample(bundles, len(bundles)):
            results[bundle] = self.one(bundle)
        return [results[bundle] for bundle in bundles]

    def one(self, bundle):
        self.now_s += 1.0
        self.order.append(bundle.name)
        slower, memory = self.factors[bundle.name]
        drift = 1 + 0.3 * np.sin(self.now_s / 20)
        p50 = 10 * slower * drift * np.exp(0.01 * self.random.standard_normal())
        result = {
            "scenario": "single-stream", "threads": 2, "backend": "onnxruntime",
            "latency_includes": ["inference"],
            "latency_ms": {"p50": p50, "p99": 9.0}, "latency_bounds_ms": {"p99": None},
            "turn_p50_ms": [p50], "throughput": {"clips_per_s": 1000 / p50},
            "memory_mib": {"peak": 100 * memory}, "energy_mj_per_clip": None,
            "environment": copy.deepcopy(ENVIRONMENT),
        }  # fmt: skip
        self.change(result, bundle.name, len(self.order))
        return result


@pytest.fixture
def gate(tmp_path):
    """``gate(machine, **options)``: the verdict on two bundles of the same content, ``old`` and ``new``."""
    write_bundle(tmp_path / "old")
    write_bundle(tmp_path / "new")

    def run(machine: Machine, **options):
        options = Options(**{"seed": 1, **options})
        return compare(
            tmp_path / "old",
            tmp_path / "new",
            options,
            measure=machine.measure,
            clock=lambda: machine.now_s,
        )

    return run


def metric(verdict, name):
    return next(item for item in verdict["metrics"] if item["name"] == name)


def test_equal_bundles_pass_in_half_a_minute_whatever_the_drift(gate):
    verdict = gate(Machine())
    assert verdict["verdict"] == "pass" and 7 <= verdict["pairs"] <= 30
    latency = metric(verdict, "latency_p50_ms")
    assert latency["verdict"] == "pass" and latency["ratio"] == pytest.approx(1, abs=0.03)
    assert {"bundle_size_mib", "parity_max_rel", "memory_peak_mib"} <= {m["name"] for m in verdict["metrics"]}


def test_a_slower_candidate_is_a_regression_with_its_effect(gate):
    verdict = gate(Machine(slower=1.05))
    latency = metric(verdict, "latency_p50_ms")
    assert verdict["verdict"] == latency["verdict"] == "regression"
    low, high = latency["interval"]
    assert low <= 1.05 <= high or abs(latency["ratio"] - 1.05) < 0.02
    assert len(latency["pair_ratios"]) == verdict["pairs"]
    assert metric(verdict, "throughput_clips_per_s")["ratio"] > 1.02, "worse is above 1"


def test_a_faster_candidate_is_an_improvement(gate):
    assert gate(Machine(slower=0.9))["verdict"] == "improvement"


def test_more_memory_is_a_regression_of_its_own(gate):
    verdict = gate(Machine(memory=1.2))
    assert verdict["verdict"] == metric(verdict, "memory_peak_mib")["verdict"] == "regression"
    assert metric(verdict, "latency_p50_ms")["verdict"] == "pass"


def test_the_order_in_a_pair_is_drawn(gate):
    machine = Machine()
    gate(machine, threshold=0.01)
    pairs = list(zip(machine.order[::2], machine.order[1::2]))
    assert {frozenset(pair) for pair in pairs} == {frozenset(("old", "new"))}
    assert 0.2 < np.mean([pair[0] == "old" for pair in pairs]) < 0.8


def test_the_budget_ends_an_undecided_run(gate):
    machine = Machine()
    verdict = gate(machine, budget_s=9)
    assert verdict["verdict"] == "inconclusive" and verdict["seconds"] <= 9 and verdict["pairs"] == 4
    assert "raise --budget" in verdict["why"]


def test_a_disturbed_pair_is_discarded_before_its_times_are_looked_at(gate):
    machine = Machine()

    def disturb(result, name, number):
        if number % 6 == 1:
            result["environment"]["during"]["others_here_cores"] = 0.9
            result["turn_p50_ms"] = [50 * value for value in result["turn_p50_ms"]]
            result["latency_ms"]["p50"] *= 50

    machine.change = disturb
    verdict = gate(machine)
    assert verdict["verdict"] == "pass" and verdict["discarded_pairs"] >= 3
    assert max(metric(verdict, "latency_p50_ms")["samples"]["candidate"]) < 20


def test_a_machine_that_others_use_all_the_time_is_inconclusive_and_says_so(gate):
    machine = Machine(slower=1.5)
    machine.change = lambda result, *_: result["environment"]["during"].update(stolen_cores=0.2)
    verdict = gate(machine, budget_s=30)
    assert verdict["verdict"] == "inconclusive" and verdict["pairs"] == 0
    assert "the hypervisor used the cores in 15 of 15 pairs" in verdict["why"]
    assert "inconclusive" in report(verdict)
    names = "latency_p50_ms, memory_peak_mib, throughput_clips_per_s, latency_p99_ms"
    assert f"not compared: {names} (no pair counts)" in report(verdict)


def test_a_system_that_counts_nothing_has_no_disturbance():
    assert not is_disturbed({"environment": {"during": None}})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda result: result["environment"].update(power_mode={"nvpmodel": "15W"}), "power mode"),
        (lambda result: result["environment"]["cpu"].update(governor="powersave"), "governor"),
        (lambda result: result["environment"].update(packages={"onnxruntime": "1.31"}), "packages"),
        (lambda result: result.update(latency_includes=["decoding"]), "latency includes"),
        (lambda result: result.update(threads=1), "threads"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused_with_the_difference(gate, change, says):
    machine = Machine()
    machine.change = lambda result, name, number: change(result) if number == 4 else None
    with pytest.raises(BenchmarkError, match=f"differ in {says}"):
        gate(machine)


def test_bundles_of_different_targets_are_refused(tmp_path):
    write_bundle(tmp_path / "old")
    write_bundle(tmp_path / "new", dataclasses.replace(CLIP, target="gpu"))
    with pytest.raises(BenchmarkError, match="the bundles differ in target"):
        compare(tmp_path / "old", tmp_path / "new", Options(), measure=Machine().measure)


def test_the_table_has_each_metric_and_the_verdict(gate):
    text = report(gate(Machine(slower=1.55)))
    assert "latency_p50_ms" in text and "+5" in text and "regression: " in text


def test_a_larger_bundle_is_a_regression(tmp_path):
    write_bundle(tmp_path / "old")
    bundle = write_bundle(tmp_path / "new")
    assert bundle.manifest.files
    with (tmp_path / "new" / next(iter(bundle.manifest.files))).open("ab") as file:
        file.write(bytes(5000))
    verdict = compare(tmp_path / "old", tmp_path / "new", Options(seed=1), measure=Machine().measure)
    assert verdict["verdict"] == metric(verdict, "bundle_size_mib")["verdict"] == "regression"


@pytest.mark.parametrize("bound", [None, 11.0])
def test_the_p99_is_compared_where_the_samples_are_enough_for_a_bound(gate, bound):
    machine = Machine()
    machine.change = lambda result, *_: result["latency_bounds_ms"].update(p99=bound)
    verdict = gate(machine)
    names = {item["name"] for item in verdict["metrics"]}
    assert ("latency_p99_ms" in names) == (bound is not None)
    if bound is None:
        assert "fewer than the 662 samples" in verdict["not_measured"]["latency_p99_ms"]
        assert "not compared: latency_p99_ms (a process has" in report(verdict)
    assert "--dataset" in verdict["not_measured"]["accuracy_top1"]
