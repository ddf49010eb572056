"""The sign tests of the latency gate: exact against an integral, and right in simulated trials."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevid.benchmarks.regress.sequential import SignTest, e_value, holm


@pytest.mark.parametrize(("against", "count"), [(0, 0), (0, 5), (3, 5), (7, 7), (12, 20), (40, 40)])
def test_the_e_value_is_the_integral_of_the_likelihood_ratio(against, count):
    p = (np.arange(200_000) + 0.5) / 400_000 + 0.5
    integral = np.mean(p**against * (1 - p) ** (count - against) * 2.0**count)
    assert e_value(against, count) == pytest.approx(integral, rel=1e-4)


def test_the_e_value_of_a_fair_coin_is_one_on_average():
    """The sum over all outcomes: a martingale."""
    for count in (1, 4, 11):
        mean = sum(math.comb(count, k) / 2**count * e_value(k, count) for k in range(count + 1))
        assert mean == pytest.approx(1)


def trial(random, effect: float, spread: float, pairs: int = 40, threshold: float = 0.03) -> str:
    """The verdict of the e-process that decides first."""
    test = SignTest(threshold)
    for _ in range(pairs):
        test.add(math.exp(math.log1p(effect) + spread * random.standard_t(3)))
        if test.e_slower >= 100:
            return "regression"
        if test.e_within >= 100:
            return "pass"
    return "inconclusive"


def share(verdict: str, effect: float, spread: float, trials: int = 400) -> float:
    random = np.random.default_rng(0)
    return np.mean([trial(random, effect, spread) == verdict for _ in range(trials)])


def test_equal_bundles_raise_at_most_one_false_alarm_in_a_hundred():
    assert share("regression", 0.0, 0.01) <= 0.01
    assert share("regression", 0.0, 0.2) <= 0.01, "however noisy the machine"
    assert share("pass", 0.0, 0.01) >= 0.98


def test_a_slowdown_of_the_threshold_is_caught_and_passes_at_most_once_in_a_hundred():
    assert share("regression", 0.03, 0.012) >= 0.95
    assert share("pass", 0.03, 0.012) <= 0.01
    assert share("pass", 0.03, 0.2) <= 0.01, "however noisy the machine"
    assert share("regression", 0.10, 0.012) == 1.0


def test_noise_that_hides_the_effect_ends_inconclusive():
    assert share("inconclusive", 0.0, 0.5) >= 0.9


def test_the_exact_interval_holds_the_true_ratio():
    random = np.random.default_rng(1)
    held = 0
    for _ in range(600):
        test = SignTest(0.03)
        for _ in range(15):
            test.add(math.exp(0.05 + 0.02 * random.standard_cauchy()))
        low, high = test.interval()
        held += low <= math.exp(0.05) <= high
    assert held / 600 >= 0.95


def test_too_few_pairs_have_no_interval():
    test = SignTest(0.03, [0.1] * 5)
    assert test.interval() is None and SignTest(0.03, [0.1] * 6).interval() is not None
    assert SignTest(0.03).ratio is None and SignTest(0.03).interval() is None


def test_the_smallest_effect_is_what_the_same_spread_would_have_shown():
    random = np.random.default_rng(2)
    spread = list(0.02 * random.standard_normal(30))
    effect = SignTest(0.03, spread).smallest_effect()
    middle = math.log(SignTest(0.03, spread).ratio)
    seen = SignTest(0.03, [value - middle + math.log1p(1.01 * effect) for value in spread])
    missed = SignTest(0.03, [value - middle + math.log1p(0.5 * effect) for value in spread])
    assert seen.e_slower >= 100 > missed.e_slower
    assert SignTest(0.03, spread[:5]).smallest_effect() is None


def test_equal_values_speak_for_neither_side():
    assert SignTest(0.03, [0.0] * 50).e_slower == 1
    assert SignTest(0.03, [0.0] * 50).e_within > 1e6


def test_holm_asks_more_of_the_first_of_several_metrics():
    assert holm([150.0]) == [True]
    assert holm([150.0, 1.0]) == [False, False]
    assert holm([250.0, 150.0]) == [True, True]
    assert holm([1.0, 250.0, 350.0]) == [False, True, True]
