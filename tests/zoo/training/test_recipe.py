"""The learning rate at each moment, against figures by hand."""

from __future__ import annotations

import pytest

from edgevid.errors import EdgevidError
from edgevid.zoo.training.recipe import RECIPES, Recipe, rate_at


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.01), (19.9, 0.01), (20, 1e-3), (39.9, 1e-3), (40, 1e-4), (49.9, 1e-4)]
)
def test_tsn_divides_the_rate_by_ten_after_20_and_40_of_50_epochs(epoch, rate):
    assert rate_at(RECIPES["tsn"], epoch / 50) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    # From 0.005 to 0.01 in 10 epochs; then 0.01 * (1 + cos(pi * epoch / 80)) / 2.
    [(0, 0.005), (5, 0.0075), (10, 0.0096194), (40, 0.005), (60, 0.00146447), (80, 0.0)],
)
def test_pptsm_warms_up_and_follows_half_a_cosine(epoch, rate):
    assert rate_at(RECIPES["pptsm"], epoch / 80) == pytest.approx(rate, abs=1e-7)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1, not 0"),
        ({"epochs": 1, "rate": 0.0}, "--lr must be above 0"),
        ({"epochs": 1, "batch": 1}, "--batch must be at least 2"),
        ({"epochs": 1, "scales": (1.5,)}, "--scales must be above 0 and at most 1"),
    ],
)
def test_impossible_settings_are_refused_by_the_name_of_their_option(settings, message):
    with pytest.raises(EdgevidError, match=message):
        Recipe(**settings)
