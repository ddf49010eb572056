"""Budgets as people write them, and what a point takes of them."""

from __future__ import annotations

import pytest
from one_comparison import point

from edgevid.benchmarks.search.budget import Budget, load, parse
from edgevid.errors import BenchmarkError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency=30ms", Budget("latency", 30)),
        ("latency=0.5s", Budget("latency", 500)),
        ("latency=250us", Budget("latency", 0.25)),
        ("memory=200MiB", Budget("memory", 200)),
        ("memory=1.5GiB", Budget("memory", 1536)),
        ("energy=5mJ", Budget("energy", 5)),
        ("energy=2J", Budget("energy", 2000)),
    ],
)
def test_a_budget_has_a_kind_a_number_and_a_unit(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "30ms",
        "latency",
        "latency=30",
        "latency=ms",
        "latency=-1ms",
        "latency=infms",
        "memory=5ms",
        "speed=1s",
    ],
)
def test_what_is_no_budget_is_refused_with_examples(text):
    with pytest.raises(BenchmarkError, match=r"use latency=30ms, memory=200MiB or energy=5mJ"):
        parse(text)


def test_the_largest_share_of_all_budgets_counts():
    item = point("a", 15, 0.7, memory_mib={"peak": 150.0}, energy_mj_per_clip=2.0)
    budgets = [parse("latency=30ms"), parse("memory=100MiB"), parse("energy=4mJ")]
    assert load(item, budgets) == 1.5 and load(item, budgets[::2]) == 0.5


def test_what_cannot_be_measured_is_refused_with_the_reason():
    with pytest.raises(BenchmarkError, match=r"energy cannot be measured \(no sensor was found\)"):
        load(point("a", 15, 0.7), [parse("energy=4mJ")])
    with pytest.raises(BenchmarkError, match="memory cannot be measured"):
        load(point("a", 15, 0.7, memory_mib={"peak": None}), [parse("memory=4MiB")])
