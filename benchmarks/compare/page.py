"""A comparison as one HTML page that needs no network: chart, details, table, and the raw samples."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.compare.chart import charted, svg
from edgevid.benchmarks.compare.points import labels
from edgevid.benchmarks.compare.table import COLUMNS, TEXT_COLUMNS, accuracy_text, row
from edgevid.benchmarks.harness import web
from edgevid.benchmarks.harness.page import thinned

FOLDER = Path(__file__).parent
SAMPLES = 100
"""Samples of a process that a page keeps: the slowest of each group of neighbors."""
TITLE = "edgevid compare"
HEADINGS = ("Pareto front", *COLUMNS[1:])


def page(document: dict[str, Any]) -> str:
    """The page of a document of ``edgevid compare --json``; every text in it is escaped."""
    points = document["points"]
    style, script = (FOLDER.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    data = f'<script type="application/json" id="data">{_data(points)}</script>'
    body = "\n".join([f"<h1>{TITLE}</h1>", *_points(points), *_failures(document), *_notes(document), data])
    return web.document(TITLE, body, style, script)


def _points(points: Sequence[dict[str, Any]]) -> list[str]:
    models = dict.fromkeys(point["model"] for point in points)
    boxes = "".join(
        f'<label><input type="checkbox" value="{html.escape(model)}" checked> {html.escape(model)}</label>'
        for model in models
    )
    chart = svg(points, alone=False) if charted(points) else "<p>No point has an accuracy to draw.</p>"
    hint = "Point at a mark, or move to one with the arrow keys, for its numbers and samples."
    rows = "\n".join(_row(number, point) for number, point in enumerate(points))
    heads = "".join(
        f'<th scope="col" aria-sort="none"{_kind(column)}><button type="button">{name}</button></th>'
        for column, name in enumerate(HEADINGS)
    )
    return [
        chart,
        f'<section id="detail" aria-label="Details"><p>{hint}</p></section>',
        '<p><label for="words">Filter </label><input id="words" type="search"></p>',
        f"<fieldset><legend>Models</legend>{boxes}</fieldset>",
        '<p id="status" role="status"></p>',
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of all points"><table id="points">',
        f"<caption>All points</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n"
        "</tbody></table></div>",
    ]


def _row(number: int, point: dict[str, Any]) -> str:
    texts, values = row(point), _values(point)
    cells = []
    for column, text in enumerate(texts):
        value = values.get(COLUMNS[column])
        data = "" if value is None else f' data-value="{value:.9g}"'
        escaped = html.escape(text)
        if COLUMNS[column] == "model":
            cells.append(f'<th scope="row"><button type="button">{escaped}</button></th>')
        else:
            cells.append(f"<td{_kind(column)}{data}>{escaped}</td>")
    return f'<tr id="r{number}">{"".join(cells)}</tr>'


def _kind(column: int) -> str:
    return ' class="number"' if column >= TEXT_COLUMNS else ""


def _values(point: dict[str, Any]) -> dict[str, float | None]:
    """What the columns of numbers are sorted by; None is last."""
    return {
        "frames": point["frames"],
        "size": point["size"],
        "top-1 %": point["accuracy"]["top1"],
        "p50 ms": point["latency_ms"]["p50"],
        "p50 interval": point["latency_ms"]["interval"][0],
        "clips/s": point["throughput"]["clips_per_s"],
        "peak MiB": point["memory_mib"]["peak"],
        "mJ/clip": point["energy_mj_per_clip"],
    }


def _data(points: Sequence[dict[str, Any]]) -> str:
    """What the script shows of each point; JSON in which no text can end the script element."""
    entries = [
        {
            "name": name,
            "model": point["model"],
            "ms": point["latency_ms"]["p50"],
            "facts": _facts(point),
            "samples": [_few(process["samples_ms"]) for process in point["processes"]],
        }
        for name, point in zip(labels(points), points)
    ]
    return json.dumps(entries, separators=(",", ":")).replace("<", "\\u003c")


def _facts(point: dict[str, Any]) -> list[tuple[str, str]]:
    latency, accuracy, ran = point["latency_ms"], point["accuracy"], point["ran_on"]
    low, high = latency["interval"]
    facts = [
        ("latency", f"{latency['p50']:.4g} ms per {latency['per']}, {low:.4g} to {high:.4g} "
                    f"({latency['confidence']:.0%} interval of {len(point['processes'])} processes)"),
        ("ran on", f"{ran['device']}, {ran['backend']}, {ran['threads']} threads"),
        ("times", "measured for this page" if point["source"] == "measured" else "from the store"),
    ]  # fmt: skip
    if accuracy["kind"]:
        how = f"{accuracy['dataset']}, {accuracy['protocol']} ({accuracy['source']})"
        facts.insert(1, ("top-1", f"{accuracy_text(accuracy)} %, {how}"))
    return facts


def _few(samples: Sequence[float]) -> list[float]:
    _, values = thinned(np.asarray(samples, np.float64), SAMPLES)
    return [float(f"{value:.5g}") for value in values]


def _failures(document: dict[str, Any]) -> list[str]:
    if not document["failures"]:
        return []
    keys = ("model", "target", "backend", "precision", "frames", "size", "why")
    texts = [["-" if item[key] is None else str(item[key]) for key in keys] for item in document["failures"]]
    rows = [f"<tr>{web.cells('td', cells, ())}</tr>" for cells in texts]
    return ["<h2>Not measured</h2>", web.table("What was not measured", keys, (), rows)]


def _notes(document: dict[str, Any]) -> list[str]:
    items = "".join(f"<li>{html.escape(note)}</li>" for note in document["notes"])
    return [f"<h2>Notes</h2>\n<ul>{items}</ul>"] if items else []
