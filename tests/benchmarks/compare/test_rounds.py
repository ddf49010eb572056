"""Interleaved rounds, and the interval of the medians of processes."""

from __future__ import annotations

import numpy as np
import pytest
from one_comparison import DISTURBED, ENVIRONMENT, process

from edgevid.benchmarks.compare.rounds import LONGEST_S, estimate, measure_rounds, undisturbed
from edgevid.errors import BenchmarkError

BUNDLES = {"a": "a.cpu", "b": "b.cpu", "c": "c.cpu"}


def test_every_round_has_every_bundle_once_in_an_order_that_changes():
    order: list[str] = []

    def measure(path):
        order.append(path)
        return process(10)

    shown = []
    results, failures = measure_rounds(BUNDLES, 20, measure, shown.append, seed=0)
    rounds = [tuple(order[i : i + 3]) for i in range(0, 60, 3)]
    assert all(sorted(one) == sorted(BUNDLES.values()) for one in rounds)
    assert len(set(rounds)) > 3, "the order is drawn"
    assert {title: len(found) for title, found in results.items()} == {"a": 20, "b": 20, "c": 20}
    assert failures == {} and (shown[0].total, shown[-1].done) == (60, 59)


def test_a_bundle_that_fails_is_a_reason_and_not_the_end():
    def measure(path):
        if path == "b.cpu":
            raise BenchmarkError("it crashed")
        return process(10)

    results, failures = measure_rounds(BUNDLES, 2, measure)
    assert list(results) == ["a", "c"] and failures == {"b": "it crashed"}


def test_a_slow_bundle_has_fewer_processes():
    now = [0.0]

    def measure(path):
        now[0] += LONGEST_S if path == "a.cpu" else 1
        return process(10)

    results, _ = measure_rounds(BUNDLES, 4, measure, clock=lambda: now[0])
    assert [len(found) for found in results.values()] == [2, 4, 4]


def test_a_first_process_that_compiles_kernels_costs_a_bundle_no_round():
    now, compiled = [0.0], []

    def measure(path):
        now[0] += 1 if compiled else 2 * LONGEST_S
        compiled.append(path)
        return process(10)

    results, _ = measure_rounds(BUNDLES, 3, measure, clock=lambda: now[0])
    assert [len(found) for found in results.values()] == [3, 3, 3]


def test_disturbed_processes_are_left_out_unless_all_are():
    noisy = process(99, environment={**ENVIRONMENT, "during": DISTURBED})
    quiet = process(10)
    assert undisturbed([noisy, quiet]) == [quiet]
    assert undisturbed([noisy, noisy]) == [noisy, noisy]


@pytest.mark.parametrize(
    ("count", "interval", "confidence"),
    [(1, (0, 0), 0), (2, (0, 1), 0.5), (5, (0, 4), 0.9375), (6, (0, 5), 0.96875), (9, (1, 7), 0.9609)],
)
def test_the_interval_is_of_order_statistics(count, interval, confidence):
    result = estimate([float(value) for value in reversed(range(count))])
    assert result.interval == interval and result.median == (count - 1) / 2
    assert result.confidence == pytest.approx(confidence, abs=1e-3)


def test_the_interval_holds_the_median_as_often_as_it_says():
    draws = np.random.default_rng(0).lognormal(size=(2000, 9))
    held = [low <= 1 <= high for low, high in (estimate(list(row)).interval for row in draws)]
    assert np.mean(held) == pytest.approx(0.9609, abs=0.02)
