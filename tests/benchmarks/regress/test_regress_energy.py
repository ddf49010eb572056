"""Energy in the gate: its pairs, its windows, and the sensors that it does without."""

from __future__ import annotations

import contextlib
import random
import threading
import time

import numpy as np
import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.harness.windows import measure_windows
from edgevid.benchmarks.regress.energy import LONGEST_WINDOW_S, Energy
from edgevid.benchmarks.regress.gate import compare
from edgevid.benchmarks.regress.pairs import Options
from edgevid.benchmarks.regress.report import report
from edgevid.host.power.meter import meter_probe
from edgevid.host.probes import NullProbe, observe

SENSOR = {"name": "a simulated sensor", "scope": "board", "simulated": True, "samples": 50}


class Meter:
    """A simulated machine: 10 ms per inference, and 5 W above idle, or ``more`` of it, spread by 1 %."""

    name, title = "meter", "A simulated meter"

    def __init__(self, more: float = 1.0, uncertainty_mj: float = 1.0, sensor: dict | None = SENSOR) -> None:
        self.watts = {"old": 5.0, "new": 5.0 * more}
        self.uncertainty_mj, self.sensor = uncertainty_mj, sensor
        self.random, self.now_s = np.random.default_rng(0), 0.0
        self.windows: list[float] = []

    def windows_of(self, bundles, window_s, threads, draw, probe):
        self.windows.append(window_s)
        self.now_s += 1 + 2 * window_s
        return [self.result(bundle) for bundle in bundles]

    def turns_of(self, bundles, duration_s, threads, draw):
        self.now_s += 2.0
        return [self.result(bundle) for bundle in bundles]

    def result(self, bundle) -> dict:
        mj = 10 * self.watts[bundle.name] * np.exp(0.01 * self.random.standard_normal())
        p50 = 10 * np.exp(0.001 * self.random.standard_normal())
        energy, uncertainty, why = (
            (mj, self.uncertainty_mj, "") if self.sensor else (None, None, "it is gone")
        )
        environment = {
            "cpu": {"governor": None}, "during": {"others_here_cores": 0.0, "stolen_cores": 0.0}
        }  # fmt: skip
        return {
            "latency_ms": {"p50": p50}, "latency_bounds_ms": {"p99": None}, "turn_p50_ms": [p50] * 5,
            "throughput": {"clips_per_s": 1000 / p50}, "memory_mib": {"peak": 100.0},
            "environment": environment, "power_sensor": self.sensor, "why_no_power": why,
            "energy_mj_per_clip": energy, "energy_mj_per_clip_uncertainty": uncertainty,
        }  # fmt: skip


@pytest.fixture
def gate(tmp_path):
    """``gate(meter, is_required=..., **options)``: the verdict on two equal bundles, ``old`` and ``new``."""
    for name in ("old", "new"):
        write_bundle(tmp_path / name)

    def run(meter, is_required: bool = True, probe=None, **options):
        energy = Energy(probe or meter, is_required, meter.windows_of)
        return compare(
            tmp_path / "old", tmp_path / "new", Options(**{"seed": 0, "budget_s": 300.0, **options}),
            energy=energy, measure=meter.turns_of, clock=lambda: meter.now_s,
        )  # fmt: skip

    return run


def energy_of(verdict):
    return next((item for item in verdict["metrics"] if item["name"] == "energy_mj_per_clip"), None)


def test_equal_energies_pass_after_the_latency_and_have_their_uncertainty(gate):
    verdict = gate(Meter())
    energy = energy_of(verdict)
    assert verdict["verdict"] == energy["verdict"] == "pass"
    assert energy["pairs"] == len(energy["samples"]["baseline"]) == len(energy["uncertainty"]["candidate"])
    assert energy["smallest_effect"] < 0.05
    assert "energy_mj_per_clip" not in verdict["not_measured"]
    text = report(verdict)
    assert f"energy: {energy['pairs']} pairs, board by a simulated sensor, simulated" in text
    assert "each within 1 and 1 mJ" in text


def test_more_energy_is_a_regression_of_its_own(gate):
    verdict = gate(Meter(more=1.1), is_required=False)
    energy, latency = energy_of(verdict), verdict["metrics"][0]
    assert verdict["verdict"] == energy["verdict"] == "regression" and latency["verdict"] == "pass"
    assert energy["ratio"] == pytest.approx(1.1, abs=0.02)


def test_an_energy_that_is_not_decided_matters_if_it_was_asked_for(gate):
    assert gate(Meter(), budget_s=25.0, is_required=False)["verdict"] == "pass"
    verdict = gate(Meter(), budget_s=25.0)
    assert verdict["verdict"] == energy_of(verdict)["verdict"] == "inconclusive"
    assert "pairs of energies in" in verdict["why"] and "raise --budget" in verdict["why"]


def test_without_a_sensor_the_reason_is_in_its_place(gate):
    verdict = gate(Meter(), is_required=False, probe=NullProbe("this machine has no sensor"))
    assert verdict["verdict"] == "pass" and energy_of(verdict) is None
    assert "not compared: energy_mj_per_clip (this machine has no sensor)" in report(verdict)


def test_a_sensor_that_goes_away_takes_no_other_verdict_along(gate):
    verdict = gate(Meter(sensor=None), is_required=False)
    assert verdict["verdict"] == "pass" and "it is gone" in verdict["not_measured"]["energy_mj_per_clip"]
    assert gate(Meter(sensor=None))["verdict"] == "inconclusive"


def test_energies_within_their_uncertainty_do_not_count(gate):
    verdict = gate(Meter(uncertainty_mj=60.0), is_required=False)
    assert energy_of(verdict) is None
    assert "within its uncertainty" in verdict["not_measured"]["energy_mj_per_clip"]


def test_windows_become_longer_for_a_slow_sensor(gate):
    meter = Meter(sensor={**SENSOR, "samples": 3})
    gate(meter, budget_s=2000.0)
    assert meter.windows[:6] == [1, 2, 4, 8, 16, LONGEST_WINDOW_S]


@contextlib.contextmanager
def written(file, watts):
    """A simulated meter: a line with ``watts()`` each 5 ms."""
    file.write_text("2.0\n")
    ended = threading.Event()

    def write():
        with file.open("a", buffering=1) as lines:
            while not ended.wait(0.005):
                lines.write(f"{watts():.3f}\n")

    thread = threading.Thread(target=write)
    thread.start()
    yield
    ended.set()
    thread.join()


def test_a_meter_tells_how_much_each_of_two_runs_needs_above_idle(tmp_path):
    """Simulated: the true power is 2 W when idle, 6 W and 6.4 W under load, so 10 % more energy."""
    now_w = [2.0]

    def run(watts):
        now_w[0] = watts
        time.sleep(0.3)
        now_w[0] = 2.0

    probe = meter_probe(f"csv:{tmp_path / 'm.csv'}").configured(idle_s=0.2)
    with written(tmp_path / "m.csv", lambda: now_w[0]):
        before, after = observe(probe, [lambda: run(6.0), lambda: run(6.4)])
    assert before["idle_power_w"] == after["idle_power_w"] == pytest.approx(2.0, abs=0.01)
    for fields, true_j in ((before, 0.3 * 4.0), (after, 0.3 * 4.4)):
        assert abs(fields["energy_j"] - true_j) <= fields["energy_j_uncertainty"] < 0.5
    assert after["energy_j"] > before["energy_j"]


def test_processes_have_a_window_each_and_the_energy_of_an_inference(bundle, worker_that, tmp_path):
    """Simulated: a constant 2 W, so that nothing is above idle but what the meter's lines leave open."""
    probe = meter_probe(f"csv:{tmp_path / 'm.csv'}").configured(idle_s=0.1)
    with written(tmp_path / "m.csv", lambda: 2.0):
        results = measure_windows(
            [bundle, bundle], 0.2, 1, random.Random(0), probe, [worker_that(), worker_that()]
        )
    for result in results:
        assert len(result["turn_p50_ms"]) == 1 and result["duration_s"] == pytest.approx(0.2, rel=0.3)
        assert result["power_w"] == result["idle_power_w"] == pytest.approx(2.0)
        assert abs(result["energy_mj_per_clip"]) <= result["energy_mj_per_clip_uncertainty"]
