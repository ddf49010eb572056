"""Processes that take turns: real ones, whose inference is a pause of a known time."""

from __future__ import annotations

import random
import statistics

import pytest

from edgevid.benchmarks.harness.turns import TURN_S, measure_in_turns, turn_ratios
from edgevid.errors import BenchmarkError


def test_turns_have_a_median_each_and_the_samples_of_all(bundle, worker_that):
    results = measure_in_turns([bundle, bundle], 0.1, 1, random.Random(0), [worker_that(), worker_that()])
    for result in results:
        assert len(result["turn_p50_ms"]) == len(results[0]["turn_p50_ms"]) >= 5
        assert len(result["samples_ms"]) >= len(result["turn_p50_ms"])
        assert result["duration_s"] == pytest.approx(sum(result["samples_ms"]) / 1e3, rel=0.3)
        assert result["duration_s"] >= len(result["turn_p50_ms"]) * TURN_S
    assert 0.5 < statistics.median(turn_ratios(*results)) < 2


def test_the_ratio_of_turns_ignores_what_both_have():
    before, after = {"turn_p50_ms": [10, 20, 10]}, {"turn_p50_ms": [11, 22, 11]}
    assert turn_ratios(before, after) == pytest.approx([1.1, 1.1, 1.1])


def test_a_process_that_dies_in_its_turn_ends_the_others(bundle, worker_that):
    workers = [worker_that(), worker_that(signal=9)]
    with pytest.raises(BenchmarkError, match="was killed while"):
        measure_in_turns([bundle, bundle], 5, 1, random.Random(0), workers)
