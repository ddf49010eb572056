"""Summaries of raw samples, against numpy and against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.benchmarks.harness.statistics import drift, relative_spread, stability_warnings, summary
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
    assert stability_warnings([10.0, 10.1, 9.9, 10.0] * 30) == []


def test_a_wide_spread_is_said():
    samples = [10.0, 20.0] * 60
    assert relative_spread(samples) > 0.5
    assert any("spread widely" in warning for warning in stability_warnings(samples))


@pytest.mark.parametrize(("second", "word"), [(12.0, "20% slower"), (8.0, "20% faster")])
def test_a_drift_between_the_halves_is_said_with_its_direction(second, word):
    samples = [10.0] * 60 + [second] * 60
    assert abs(drift(samples)) == pytest.approx(0.2)
    assert any(word in warning for warning in stability_warnings(samples))


def test_a_p99_of_few_samples_is_not_trusted():
    assert any("p99" in warning for warning in stability_warnings([10.0] * 99))
    assert not any("p99" in warning for warning in stability_warnings([10.0] * 100))


def test_one_sample_can_be_summed_up_and_judged():
    assert summary([5.0])["p99"] == 5.0
    assert len(stability_warnings([5.0])) == 1
