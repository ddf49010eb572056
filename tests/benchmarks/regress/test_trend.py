"""The page of ``edgevid history``: complete, escaped, and usable without a mouse, in a real browser."""

from __future__ import annotations

import re

import browser
import pytest
from one_result import result, verdict

from edgevid.benchmarks.harness import page as results_page
from edgevid.benchmarks.regress.series import series_of
from edgevid.benchmarks.regress.trend import page


def records() -> list[dict]:
    """Of a network that became 6 % slower with commit 9, when the kernel had changed, and of a new one."""
    found = [verdict(number, ratio=1.06 if number > 8 else 1.0) for number in range(1, 14)]
    for record in found[7:]:
        record["environment"]["kernel"] = "6.2"
    return [
        verdict(20, verdict="accepted", why="<i>worth it</i>", metrics={}),
        *found,
        verdict(21, model="x<script>alert(1)</script>", reference_sha256="b" * 64, candidate_commit=None),
    ]


@pytest.fixture(scope="module")
def text() -> str:
    return page("results.db", series_of(records()))


def test_each_series_has_a_picture_of_its_points_and_a_row_for_each(text):
    assert text.count('<svg class="chart"') == 4 and text.count('class="point"') == 2 * 13 + 2 * 1
    assert text.count('<tr id="') == 2 * 13 + 2 * 1
    assert len(re.findall(r'id="([^"]*)"', text)) == len(set(re.findall(r'id="([^"]*)"', text)))


def test_changes_commits_and_environments_are_marked(text):
    assert text.count('<path class="step worse"') == 1 and "Worse since commit 009ccccccc." in text
    assert "kernel 6.1 to 6.2" in text and text.count('<path class="environment"') == 2
    assert "9 points to go" in text and "unknown commit" in text


def test_a_creep_is_a_band():
    creep = [verdict(number, ratio=1.006 ** max(0, number - 10)) for number in range(1, 41)]
    assert page("results.db", series_of(creep)).count('<rect class="creep worse"') == 1


def test_what_comes_from_the_store_is_escaped(text):
    assert "<script>alert" not in text and "&lt;script&gt;" in text and "<i>" not in text
    assert "accepted: &lt;i&gt;worth it" in text


def test_the_page_needs_no_network(text):
    assert "://" not in text and "src=" not in text.replace("-src", "") and "@import" not in text


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as running:
        yield running


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    return browser.axe(tmp_path_factory.mktemp("axe"))


@pytest.mark.slow
def test_the_arrow_keys_go_from_point_to_point(chromium, text, tmp_path):
    (tmp_path / "history.html").write_text(text)
    shown, complaints = browser.opened(chromium, tmp_path / "history.html", viewport=browser.PHONE)
    chart = shown.locator("svg.chart").nth(1)
    chart.focus()
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft"):
        chart.page.keyboard.press(key)
    assert "commit 012ccccccc" in shown.locator("section").nth(1).locator(".detail").inner_text()
    assert "012ccccccc" in shown.locator("tr.on").inner_text()
    shown.locator("tr.on a").click()
    assert shown.evaluate("document.activeElement.id") == "s1-p11"
    assert shown.evaluate("document.documentElement.scrollWidth") == browser.PHONE["width"]
    assert complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history", "bench"])
def test_axe_finds_nothing(chromium, axe, text, name, tmp_path):
    texts = {"history": text, "bench": results_page.page([result(1)])}
    (tmp_path / "page.html").write_text(texts[name])
    shown, _ = browser.opened(chromium, tmp_path / "page.html", bypass_csp=True)
    shown.add_script_tag(content=axe)
    assert browser.violations(shown) == []
    shown.emulate_media(color_scheme="dark")
    assert browser.violations(shown, "color-contrast") == []
