"""Summaries of raw samples, against numpy and against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.benchmarks.harness.statistics import (
    bounds_ms,
    drift,
    percentile_bound,
    relative_spread,
    samples_missing,
    samples_needed,
    stability_warnings,
    summary,
)
from edgevid.errors import BenchmarkError

LATENCIES = st.lists(st.floats(min_value=1e-3, max_value=1e5), min_size=1, max_size=200)


@given(LATENCIES)
def test_the_summary_is_what_numpy_says(samples):
    result = summary(samples)
    assert result["mean"] == pytest.approx(np.mean(samples))
    for percent in (50, 90, 99):
        assert result[f"p{percent}"] == pytest.approx(np.percentile(samples, percent))


def test_the_summary_of_one_to_a_hundred_and_one_is_known():
    assert summary(range(1, 102)) == {"mean": 51.0, "p50": 51.0, "p90": 91.0, "p99": 100.0}


def test_the_summary_does_not_depend_on_the_order():
    assert summary([3.0, 1.0, 2.0]) == summary([1.0, 2.0, 3.0])


def test_no_samples_are_an_error_and_not_zero():
    with pytest.raises(BenchmarkError, match="raise --duration"):
        summary([])


def test_steady_samples_raise_no_warning():
    assert stability_warnings([10.0, 10.1, 9.9, 10.0] * 170) == []


def test_a_wide_spread_is_said():
    samples = [10.0, 20.0] * 60
    assert relative_spread(samples) > 0.5
    assert any("spread widely" in warning for warning in stability_warnings(samples))


@pytest.mark.parametrize(("second", "word"), [(12.0, "20% slower"), (8.0, "20% faster")])
def test_a_drift_between_the_halves_is_said_with_its_direction(second, word):
    samples = [10.0] * 60 + [second] * 60
    assert abs(drift(samples)) == pytest.approx(0.2)
    assert any(word in warning for warning in stability_warnings(samples))


def test_percentiles_of_few_samples_have_no_bound_and_the_warning_counts_what_is_missing():
    (warning,) = stability_warnings([10.0] * 400)
    assert "p99 has no bound with 99% confidence" in warning and "262 more" in warning
    assert stability_warnings([10.0] * 662) == []
    assert bounds_ms([10.0] * 100) == {"p50": 10.0, "p90": 10.0, "p99": None}
    assert samples_missing(10) == {"p50": 1, "p90": 54, "p99": 652}


@pytest.mark.parametrize(("share", "count"), [(0.5, 11), (0.9, 64), (0.99, 662)])
def test_the_largest_sample_is_a_bound_of_the_fewest_samples_that_suffice(share, count):
    """64 and 662 are what LoadGen asks for."""
    assert samples_needed(share) == count
    assert percentile_bound(range(count), share) == count - 1
    assert percentile_bound(range(count - 1), share) is None


@settings(deadline=None, max_examples=30)
@given(st.integers(662, 5000), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_bound_is_one_sample_above_the_order_statistic_of_the_exact_binomial(count, share):
    rank = int(percentile_bound(range(count), share)) - 1

    def at_most(k: int) -> float:
        return sum(
            math.exp(
                math.lgamma(count + 1)
                - math.lgamma(i + 1)
                - math.lgamma(count - i + 1)
                + i * math.log(share)
                + (count - i) * math.log(1 - share)
            )
            for i in range(k + 1)
        )

    assert at_most(rank) >= 0.99 - 1e-9 and at_most(rank - 1) < 0.99 + 1e-9


def test_the_bound_holds_in_ninety_nine_of_a_hundred_runs():
    random = np.random.default_rng(0)
    truth = -math.log(0.1)  # the 90th percentile of the exponential distribution
    held = [percentile_bound(random.exponential(size=300), 0.9) >= truth for _ in range(2000)]
    assert 0.985 <= np.mean(held) < 1.0


def test_one_sample_can_be_summed_up_and_judged():
    assert summary([5.0])["p99"] == 5.0
    assert len(stability_warnings([5.0])) == 1
