"""The HTML page of results: complete, escaped, and without a network."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from edgevid.benchmarks.harness.page import MAX_POINTS, page, thinned
from edgevid.benchmarks.harness.statistics import bounds_ms, summary

SAMPLES = [10.0 + 0.1 * (index % 7) for index in range(700)]


def result(**changes):
    return {
        "model": "tsm_mbv2", "target": "cpu", "backend": "onnxruntime", "precision": "fp32",
        "scenario": "single-stream", "threads": 2, "streaming": False, "samples_ms": SAMPLES,
        "latency_ms": summary(SAMPLES), "latency_bounds_ms": bounds_ms(SAMPLES),
        "latency_includes": ["inference"], "throughput": {"clips_per_s": 97.0, "frames_per_s": 776.0},
        "memory_mib": {"peak": 90.0, "weights": 9.0}, "power_w": None, "why_no_power": "no sensor was found",
        "weights": {"random": False}, "warnings": ["the samples spread widely"],
        "environment": {"device": "a simulated CPU"}, **changes,
    }  # fmt: skip


def parse(text: str) -> ET.Element:
    """The page as XML, which it is but for its doctype and empty elements."""
    for tag in ("meta",):
        text = text.replace(f"<{tag} ", f"<{tag}-empty ")
    lines = [
        line.replace(">", "/>", 1) if "-empty " in line else line
        for line in text.removeprefix("<!doctype html>\n").splitlines()
    ]
    return ET.fromstring("\n".join(lines))


def test_the_page_has_the_table_the_warnings_and_two_pictures_per_result():
    root = parse(page([result(), result(scenario="offline")]))
    text = " ".join(root.itertext())
    for part in ("tsm_mbv2", "single-stream", "offline", "97", "a simulated CPU", "no sensor was found"):
        assert part in text
    assert text.count("the samples spread widely") == 2
    pictures = [element for element in root.iter("svg")]
    assert len(pictures) == 4 and all(picture.get("aria-label") for picture in pictures)
    assert sum(element.tag == "circle" for element in pictures[0].iter()) == len(SAMPLES)


def test_names_from_a_bundle_are_escaped():
    text = page([result(model="<script>alert(1)</script>", warnings=["a < b & c"])])
    assert "<script" not in text and "&lt;script&gt;" in text
    parse(text)


def test_the_page_needs_no_network():
    text = page([result()])
    assert "://" not in text and "src=" not in text and "@import" not in text


def test_a_single_sample_and_equal_samples_are_drawn():
    parse(page([result(samples_ms=[5.0]), result(samples_ms=[5.0] * 30)]))


def test_thinning_keeps_every_outlier():
    samples = np.ones(100_000)
    samples[[17, 54_321, 99_999]] = [50, 70, 60]
    index, values = thinned(samples)
    assert len(values) == MAX_POINTS and sorted(values)[-3:] == [50, 60, 70]
    assert {17, 54_321, 99_999} <= set(index.tolist())


@pytest.mark.parametrize("percentile", ["p50", "p99"])
def test_each_percentile_is_a_line_at_its_height(percentile):
    picture = next(parse(page([result()])).iter("svg"))
    label = next(item for item in picture.iter("text") if (item.text or "").startswith(percentile))
    assert f"{summary(SAMPLES)[percentile]:.4g} ms" in label.text
