"""Results as one HTML page, which needs no network: the table, and for each result its samples over time."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevid.benchmarks.harness.report import COLUMNS, TEXT_COLUMNS, notes, row, scenario_lines
from edgevid.benchmarks.harness.web import cells, document, table

WIDTH, HEIGHT, MARGIN = 720, 180, 44
MAX_POINTS = 1500
"""Samples that are drawn; of more, the slowest of each group of neighbors is, so that no outlier is lost."""
BINS = 60
NUMBERS = range(TEXT_COLUMNS, len(COLUMNS))


def page(results: Sequence[dict[str, Any]]) -> str:
    """The page; every text in it is escaped, since names come from bundles."""
    rows = [f"<tr>{cells('td', row(result), NUMBERS)}</tr>" for result in results]
    body = "\n".join(
        [
            "<h1>edgevid bench</h1>",
            table("Results", COLUMNS, NUMBERS, rows),
            *(f"<p>{html.escape(note)}</p>" for note in notes(results)),
            *(_section(result) for result in results),
        ]
    )
    return document("edgevid bench", body)


def _section(result: dict[str, Any]) -> str:
    title = html.escape(f"{result['model']} {result['precision']}, {result['scenario']}")
    includes = ", ".join(result.get("latency_includes", ["inference"]))
    lines = [f"<p>{html.escape(line)}</p>" for line in scenario_lines(result)]
    warnings = [f'<p class="warning">{html.escape(warning)}</p>' for warning in result["warnings"]]
    environment = html.escape(json.dumps(result["environment"], indent=1))
    samples = np.asarray(result["samples_ms"], dtype=np.float64)
    return "\n".join(
        [
            f"<section>\n<h2>{title}</h2>",
            f"<p>{len(samples)} samples; each includes: {html.escape(includes)}.</p>",
            *lines,
            *warnings,
            over_time(samples, result["latency_ms"]),
            histogram(samples),
            f"<details><summary>Environment</summary><pre>{environment}</pre></details>\n</section>",
        ]
    )


def over_time(samples_ms: np.ndarray, latency_ms: dict[str, float]) -> str:
    """A dot per sample in the order of the run, with lines at p50 and p99."""
    index, values = thinned(samples_ms)
    top = float(values.max()) * 1.05 or 1.0
    xs = MARGIN + index / max(1, len(samples_ms) - 1) * (WIDTH - MARGIN - 8)
    ys = _y(values, top)
    dots = "".join(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="1.4"/>' for x, y in zip(xs, ys))
    marks = "".join(
        f'<line class="mark" x1="{MARGIN}" x2="{WIDTH - 8}" y1="{_y(latency_ms[name], top):.1f}" '
        f'y2="{_y(latency_ms[name], top):.1f}"/>'
        f'<text x="{WIDTH - 8}" y="{_y(latency_ms[name], top) - 3:.1f}" text-anchor="end">{name} '
        f"{latency_ms[name]:.4g} ms</text>"
        for name in ("p50", "p99")
    )
    label = (
        f"Samples over the run: p50 {latency_ms['p50']:.4g} ms, p99 {latency_ms['p99']:.4g} ms, "
        f"largest {samples_ms.max():.4g} ms"
    )
    return _svg(label, dots + marks, top, "ms, in the order of the run")


def histogram(samples_ms: np.ndarray) -> str:
    """How often each duration occurs; above the 99.5th percentile they are counted in the last bar."""
    high = float(np.percentile(samples_ms, 99.5))
    low = float(samples_ms.min())
    high = high if high > low else low + 1e-3
    counts, edges = np.histogram(np.minimum(samples_ms, high), BINS, (low, high))
    step = (WIDTH - MARGIN - 8) / BINS
    bars = "".join(
        f'<rect class="dot" x="{MARGIN + number * step:.1f}" y="{_y(count, counts.max()):.1f}" '
        f'width="{step - 1:.1f}" height="{HEIGHT - MARGIN / 2 - _y(count, counts.max()):.1f}"/>'
        for number, count in enumerate(counts)
    )
    ends = (
        f'<text x="{MARGIN}" y="{HEIGHT - 6}">{low:.4g} ms</text>'
        f'<text x="{WIDTH - 8}" y="{HEIGHT - 6}" text-anchor="end">{edges[-1]:.4g} ms and more</text>'
    )
    label = f"Histogram of the samples, from {low:.4g} to {samples_ms.max():.4g} ms"
    return _svg(label, bars + ends, float(counts.max()), "samples")


def thinned(samples: np.ndarray, limit: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``limit`` samples and their positions: the largest of each group of neighbors."""
    if len(samples) <= limit:
        return np.arange(len(samples)), samples
    groups = np.array_split(np.arange(len(samples)), limit)
    index = np.array([group[np.argmax(samples[group])] for group in groups])
    return index, samples[index]


def _y(value: Any, top: float) -> Any:
    return HEIGHT - MARGIN / 2 - np.asarray(value) / top * (HEIGHT - MARGIN)


def _svg(label: str, content: str, top: float, unit: str) -> str:
    label = html.escape(label)
    bottom = HEIGHT - MARGIN / 2
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{label}">'
        f'<line class="axis" x1="{MARGIN}" x2="{WIDTH - 8}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="axis" x1="{MARGIN}" x2="{MARGIN}" y1="{MARGIN / 2}" y2="{bottom}"/>'
        f'<text x="4" y="{MARGIN / 2 + 4}">{top:.4g}</text><text x="4" y="12">{html.escape(unit)}</text>'
        f"{content}</svg>"
    )
