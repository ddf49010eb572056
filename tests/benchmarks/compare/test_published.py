"""Published accuracies: each with protocol and source, and only where they hold."""

from __future__ import annotations

import re

import pytest
from one_comparison import point

from edgevid.benchmarks.compare.accuracy import Published, choose, of_published, published
from edgevid.zoo import MODELS

ROWS = published()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model}-{row.top1}")
def test_a_row_is_of_a_network_of_the_zoo_with_protocol_and_source(row):
    assert row.model in MODELS and row.protocol and row.source
    assert 0.4 < row.top1 < 0.9 and row.frames in (1, 8, 16, 32)


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.published])
def test_what_a_network_says_is_published_is_in_the_file(name):
    figures = {
        round(float(text) / 100, 6)
        for text in re.findall(r"top-1 (?:V\d )?([\d.]+) %", MODELS[name].published)
    }
    assert figures <= {row.top1 for row in ROWS if row.model == name}


def test_it_holds_for_the_published_input_in_float_only():
    tsm = point("tsm_r50", 10, None)
    [row] = choose([tsm], ROWS, None)
    assert row and of_published(row)["kind"] == "published"
    for change in (
        {"frames": 4},
        {"size": 160},
        {"precision": "int8"},
        {"streaming": True},
        {"model": "tsn_mbv2"},
    ):
        assert choose([{**tsm, **change}], ROWS, None) == [None], change


def test_all_points_have_the_data_set_of_most_and_the_protocol_of_most():
    points = [point(name, 10, None) for name in ("tsm_r50", "tsm_r101", "tsm_mbv2", "tsm_r50_nl_dot")]
    chosen = choose(points, ROWS, None)
    assert [row and row.protocol for row in chosen] == [
        "8 frames, 10 crops",
        None,
        "8 frames, 10 crops",
        "8 frames, 10 crops",
    ]
    chosen = choose(points, ROWS, "Something-Something V1")
    assert {row.dataset for row in chosen if row} == {"Something-Something V1"}
    assert [row is None for row in chosen] == [False, False, True, True]


def test_nothing_is_made_up_where_nobody_published():
    assert not any(of_published(None).values())
    assert choose([], ROWS, None) == [] and isinstance(ROWS[0], Published)
