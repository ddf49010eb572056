"""The page of a comparison: everything in one file, for eyes, keys and screen readers."""

from __future__ import annotations

import json
import re

import browser
import pytest
from one_comparison import document, point

from edgevid.benchmarks.compare.page import SAMPLES, page

DOCUMENT = document(
    point("tsm_r50", 50, 0.9, random_weights=True),
    point("tsm_mbv2", 5, 0.6, precision="int8"),
    point("tsn_r50", 40, 0.7, "published"),
    point("unknown", 7, None),
    failures=[
        {"model": "tsm_r50", "target": "gpu", "backend": "tensorrt", "precision": None, "frames": None,
         "size": None, "why": "no <b>GPU</b> here"},
    ],
    notes=["no energy: no sensor was found"],
)  # fmt: skip


def test_it_needs_nothing_else_and_its_policy_names_its_script():
    text = page(DOCUMENT)
    assert set(re.findall(r"https?://[^/\"]+", text)) == {"http://www.w3.org"}, "a name, not an address"
    assert "src=" not in text
    assert "default-src 'none'" in text and re.search(r"script-src 'sha256-[\w+/=]{44}'\"", text)
    assert len(text) < 40_000, "without samples: tens of kilobytes"


def test_names_can_neither_end_the_script_nor_add_an_element():
    bad = '</script><img src=x onerror="alert(1)">'
    text = page(document(point(bad, 5, 0.6), notes=[bad]))
    assert "<img" not in text and text.count("</script>") == 2
    assert "no &lt;b&gt;GPU" in page(DOCUMENT)


def test_each_point_has_its_samples_the_slowest_kept():
    processes = [{"p50": 5.0, "samples_ms": [5.0] * 5000 + [9.0]}]
    text = page(document(point("a", 5, 0.6, processes=processes)))
    [entry] = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert len(entry["samples"][0]) == SAMPLES and max(entry["samples"][0]) == 9.0


def test_a_comparison_without_accuracies_has_a_table_and_no_chart():
    text = page(document(point("unknown", 7, None)))
    assert "No point has an accuracy" in text and 'id="chart"' not in text and 'id="r0"' in text


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as running:
        yield running


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(DOCUMENT))
    return path


@pytest.mark.slow
def test_keys_clicks_and_words_find_each_point(chromium, file):
    shown, complaints = browser.opened(chromium, file, viewport=browser.PHONE)
    detail, status = shown.locator("#detail"), shown.locator("#status")
    assert status.inner_text() == "4 of 4 shown"
    shown.locator("#chart").focus()
    shown.keyboard.press("ArrowRight")
    assert detail.inner_text().startswith("tsm_mbv2") and "97% interval of 6 processes" in detail.inner_text()
    assert "18 samples" in detail.inner_text() and detail.locator("circle").count() == 18
    shown.keyboard.press("End")
    assert detail.inner_text().startswith("tsm_r50")
    shown.locator("#r3 th button").click()
    assert detail.inner_text().startswith("unknown"), "one without a mark has samples too"
    shown.locator("#p2").hover()
    assert "published" in detail.inner_text()
    shown.get_by_role("button", name="p50 ms").click()
    assert status.inner_text() == "sorted by p50 ms, ascending"
    assert shown.locator("#points tbody th").all_inner_texts() == [
        "tsm_mbv2",
        "unknown",
        "tsn_r50",
        "tsm_r50",
    ]
    shown.locator("#words").fill("int8")
    assert status.inner_text() == "1 of 4 shown" and not shown.locator("#p0").is_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") == browser.PHONE["width"]
    assert complaints == []


@pytest.mark.slow
def test_axe_finds_nothing(chromium, file, tmp_path):
    shown, _ = browser.opened(chromium, file, bypass_csp=True)
    shown.add_script_tag(content=browser.axe(tmp_path))
    assert browser.violations(shown) == []
    shown.emulate_media(color_scheme="dark")
    assert browser.violations(shown, "color-contrast") == []
    shown.set_viewport_size(browser.PHONE)
    assert browser.violations(shown) == []
