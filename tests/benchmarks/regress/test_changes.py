"""Steps and creeps are found where they are, and noise is not taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks.regress.changes import levels_of, noise, without_spikes
from edgevid.errors import BenchmarkError

COUNT = 60


def ratios(shape: np.ndarray | float = 0.0, sigma: float = 0.005, seed: int = 0) -> np.ndarray:
    """Log-normal noise around ``shape``, which is in logarithms."""
    return np.exp(np.random.default_rng(seed).normal(0, sigma, COUNT) + shape)


def step(first: int, effect: float) -> np.ndarray:
    return np.log1p(effect) * (np.arange(COUNT) >= first)


def test_a_flat_series_has_no_change():
    levels = levels_of(ratios())
    assert levels.changes == () and levels.ratio == 1 and levels.interval is None
    assert 0.005 < levels.smallest_effect < 0.03


@pytest.mark.parametrize("effect", [0.03, 0.1, -0.05])
def test_a_step_is_found_at_its_first_point_with_its_effect(effect):
    (change,) = levels_of(ratios(step(40, effect))).changes
    assert change.first == change.last == 40 and not change.is_creep
    assert change.effect == pytest.approx(effect, abs=0.005)


def test_three_points_show_a_step_and_two_do_not():
    assert levels_of(ratios(step(COUNT - 3, 0.06))).changes
    assert not levels_of(ratios(step(COUNT - 2, 0.06))).changes


def test_a_step_below_what_must_be_caught_is_none():
    assert levels_of(ratios(step(30, 0.01), sigma=0.001)).changes == ()
    assert levels_of(ratios(step(30, 0.01), sigma=0.001), effect=0.01).changes


def test_a_creep_whose_steps_are_each_too_small_is_one_change_from_its_onset():
    creep = np.log1p(0.003) * np.clip(np.arange(COUNT) - 19, 0, 20)
    (change,) = levels_of(ratios(creep, sigma=0.001)).changes
    assert change.is_creep and abs(change.first - 20) <= 1 and abs(change.last - 39) <= 1
    assert change.effect == pytest.approx(1.003**20 - 1, abs=0.003)


def test_the_level_now_is_compared_with_that_of_the_beginning():
    levels = levels_of(ratios(step(20, 0.05) + step(40, 0.04)))
    assert levels.ratio == pytest.approx(1.05 * 1.04, abs=0.01)
    low, high = levels.interval
    assert low < levels.ratio < high and high - low < 0.02


def test_the_first_bad_change_is_the_first_after_the_last_improvement():
    levels = levels_of(ratios(step(10, 0.06) + step(25, -0.06) + step(45, 0.05)))
    assert [change.first for change in levels.changes] == [10, 25, 45]
    assert levels.first_bad.first == 45
    assert levels_of(ratios(step(10, 0.10) + step(40, -0.05))).first_bad.first == 10
    assert levels_of(ratios()).first_bad is None


def test_single_spikes_are_no_change_and_do_not_hide_one():
    values = ratios(step(40, 0.04))
    values[[10, 30, 50]] *= 1.5
    (change,) = levels_of(values).changes
    assert change.first == 40


def test_spikes_are_replaced_and_steps_are_kept():
    values = np.r_[np.zeros(10), np.ones(10)]
    spiked = values.copy()
    spiked[5] = 3
    assert (without_spikes(spiked, 0.1) == values).all()


def test_a_step_adds_nothing_to_the_noise():
    assert noise(np.log(ratios(step(30, 0.5)))) == pytest.approx(0.005, rel=0.3)


def test_exact_metrics_are_series_too():
    levels = levels_of([1.0] * 20 + [1.01] * 20, effect=0.005)
    assert [change.first for change in levels.changes] == [20]
    assert levels_of([1.0] * 40).changes == ()


def test_few_points_are_no_history():
    with pytest.raises(BenchmarkError, match="9 points are no history"):
        levels_of([1.0] * 9)
