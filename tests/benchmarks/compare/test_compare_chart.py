"""The chart as a picture: marks that say what they are, inside its frame, with nothing unescaped."""

from __future__ import annotations

import shutil
import struct
import xml.etree.ElementTree as ElementTree

import pytest
from one_comparison import document, point

from edgevid.benchmarks.compare.chart import HEIGHT, WIDTH, Scales, log_ticks, place_labels, svg, ticks
from edgevid.benchmarks.compare.png import find_browser, png
from edgevid.errors import BenchmarkError

POINTS = document(
    point("fast", 5, 0.6),
    point("slow", 50, 0.9),
    point("paper", 60, 0.8, "published"),
    point("unknown", 7, None),
)["points"]


def marks(picture: str) -> dict[str, ElementTree.Element]:
    root = ElementTree.fromstring(picture)
    return {item.get("id", ""): item for item in root.iter() if "point" in (item.get("class") or "").split()}


def test_each_point_with_an_accuracy_has_a_mark_that_names_it():
    found = marks(svg(POINTS))
    assert list(found) == ["p0", "p1", "p2"]
    assert found["p1"].get("aria-label") == "slow: 50 ms, 90 %, measured here, on the Pareto front"


def test_a_published_accuracy_has_another_mark_and_the_legend_says_so():
    picture = svg(POINTS)
    found = marks(picture)
    shapes = {name: item[-1].get("d") for name, item in found.items()}
    assert shapes["p0"] == shapes["p1"] != shapes["p2"]
    assert "published" in found["p2"].get("class") and "published by others, not measured here" in picture
    assert "published" not in svg(POINTS[:2]).partition("</style>")[2]


def test_error_bars_are_on_both_axes_where_there_are_intervals():
    measured, paper = (marks(svg(POINTS))[name][0].get("d") for name in ("p0", "p2"))
    assert "H" in measured and measured.split("M")[2].split("V")[0].split()[1] != measured.split("V")[1]
    assert paper.split("M")[2].split("V")[0].split()[1] == paper.split("V")[1], (
        "a published one has no interval"
    )


def test_names_are_escaped():
    bad = point('<script>"&', 5, 0.6)
    picture = svg([bad])
    assert "<script>" not in picture and marks(picture)


def test_without_any_accuracy_there_is_nothing_to_draw():
    with pytest.raises(BenchmarkError, match="--dataset"):
        svg([point("unknown", 7, None)])


def test_everything_is_inside_the_frame():
    scales = Scales.of(POINTS[:3])
    for item in POINTS[:3]:
        x, y = scales.place(item)
        assert 0 < x < WIDTH and 0 < y < HEIGHT


def test_equal_points_still_have_scales():
    assert marks(svg([point("one", 5, 0.5, "published")]))


@pytest.mark.parametrize(("low", "high"), [(0.5, 30), (8, 9000)])
def test_ticks_of_the_logarithmic_axis_are_round_and_inside(low, high):
    values = log_ticks(low, high)
    assert values and all(low <= value <= high and f"{value:.0e}"[0] in "125" for value in values)


def test_a_short_logarithmic_axis_has_even_ticks():
    assert log_ticks(1.1, 4.2) == [1.5, 2, 2.5, 3, 3.5, 4]


@pytest.mark.parametrize(("low", "high"), [(0, 100), (64.2, 79.9), (14, 17), (50, 52)])
def test_ticks_of_the_other_axis_are_few_and_inside(low, high):
    assert 2 <= len(ticks(low, high)) <= 8 and low <= min(ticks(low, high)) <= max(ticks(low, high)) <= high


def test_names_avoid_each_other():
    near = {0: (300.0, 200.0), 1: (304.0, 202.0)}
    (x, y, anchor), (other_x, other_y, other_anchor) = place_labels(near, ["tsm_mbv2", "tsm_r50"]).values()
    assert abs(y - other_y) > 10 or ((anchor, other_anchor) == ("start", "end") and other_x < x)


def test_names_avoid_error_bars():
    to_the_right = (300.0, 199.0, 400.0, 201.0)
    assert place_labels({0: (300.0, 200.0)}, ["tsm"], [to_the_right])[0] == (290.0, 204.0, "end")


def test_a_machine_without_a_browser_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BenchmarkError, match=r"--plot FILE\.svg"):
        find_browser()


def test_a_browser_that_fails_is_quoted(tmp_path):
    with pytest.raises(BenchmarkError, match="drew no picture"):
        png(svg(POINTS), "/bin/false")


@pytest.mark.slow
def test_a_png_is_the_picture_at_twice_its_size():
    try:
        browser = find_browser()
    except BenchmarkError as error:
        pytest.skip(str(error))
    data = png(svg(POINTS), browser)
    assert data.startswith(b"\x89PNG") and struct.unpack(">II", data[16:24]) == (2 * WIDTH, 2 * HEIGHT)
