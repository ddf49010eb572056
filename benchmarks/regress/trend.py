"""Series of ratios as one HTML page, which needs no network: each as a picture and as a table."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from edgevid.benchmarks.harness.web import cells, document, table
from edgevid.benchmarks.regress.history import (
    COLUMNS,
    COMMIT_DIGITS,
    change_line,
    changes_of,
    first_bad_commit,
    row,
)
from edgevid.benchmarks.regress.series import Series
from edgevid.benchmarks.regress.trend_chart import chart, plain

NUMBERS = (1, 4, 5, 6)
"""Of ``COLUMNS``."""
POINT_COLUMNS = ("commit", "date", "change", "95% interval", "pairs", "verdict", "number", "what changed")
POINT_NUMBERS = (2, 3, 4, 6)
LEGEND = (
    "A point is the ratio of a commit to the reference, in pairs of fresh processes; up is worse. "
    "● pass, ▲ regression, ▼ improvement, ○ inconclusive. A line with its effect is a step, a band a creep, "
    "a dotted line with ◆ a change of the environment. The arrow keys go from point to point."
)
PLAIN = "Above: the candidate's own numbers, which are the machine's too. They are shown, never judged."
STYLE = """
.both { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1rem; align-items: start; }
@media (max-width: 800px) { .both { grid-template-columns: minmax(0, 1fr); } svg text { font-size: 17px; } }
.rows { max-height: 24rem; overflow: auto; position: relative; }
.detail { min-height: 1.5em; margin: .3rem 0; }
.whisker { stroke: var(--soft); } .level { stroke: var(--ink); stroke-width: 2; fill: none; }
.bad, .diamond { fill: var(--mark); } .good { fill: var(--good); } .plain { fill: var(--soft); }
.open { fill: var(--paper); stroke: var(--dot); stroke-width: 2; }
.step { stroke-width: 2; } .step.worse { stroke: var(--mark); } .step.better { stroke: var(--good); }
.creep { opacity: .15; } .creep.worse { fill: var(--mark); } .creep.better { fill: var(--good); }
.environment { stroke: var(--mark); stroke-dasharray: 2 4; }
.point { cursor: pointer; } .point:focus { outline: none; }
.point.on > * { stroke: var(--ink); stroke-width: 3; } tr.on { background: var(--line); }
"""
SCRIPT = """
"use strict";
for (const chart of document.querySelectorAll("svg.chart")) {
  const points = [...chart.querySelectorAll(".point")], section = chart.closest("section");
  const box = section.querySelector(".rows"), detail = section.querySelector(".detail");
  const show = (point) => {
    section.querySelectorAll(".on").forEach((element) => element.classList.remove("on"));
    const row = document.getElementById(point.dataset.row);
    point.classList.add("on");
    row.classList.add("on");
    box.scrollTop = row.offsetTop - box.clientHeight / 2;
    detail.textContent = point.getAttribute("aria-label");
  };
  for (const point of points) {
    point.addEventListener("focus", () => show(point));
    point.addEventListener("click", () => point.focus());
  }
  chart.addEventListener("keydown", (event) => {
    const now = points.indexOf(document.activeElement), last = points.length - 1;
    const to = { ArrowRight: Math.min(now + 1, last), ArrowLeft: Math.max(now - 1, 0), Home: 0, End: last };
    if (!(event.key in to)) return;
    event.preventDefault();
    points[to[event.key]].focus();
  });
}
"""


def page(store: str, series: Sequence[Series]) -> str:
    """The page; every text in it is escaped, since names come from a database."""
    body = "\n".join(
        [
            f"<h1>edgevid history</h1>\n<p>{html.escape(store)}</p>\n<p>{html.escape(LEGEND)}</p>",
            _contents(series),
            *(_section(item, f"s{number}") for number, item in enumerate(series)),
        ]
    )
    return document("edgevid history", body, STYLE, SCRIPT)


def _contents(series: Sequence[Series]) -> str:
    """The table of all series; the metric leads to its section."""
    rows = []
    for number, item in enumerate(series):
        texts = row(item)
        place = COLUMNS.index("metric")
        link = f'<td><a href="#s{number}">{html.escape(texts[place])}</a></td>'
        before = cells("td", texts[:place], NUMBERS)
        after = cells("td", texts[place + 1 :], [index - place - 1 for index in NUMBERS])
        rows.append(f"<tr>{before}{link}{after}</tr>")
    return table("All series", COLUMNS, NUMBERS, rows)


def _section(series: Series, name: str) -> str:
    key = series.key
    threads = "" if key.threads is None else f", {key.threads} threads"
    about = f"{key.device}{threads}; reference {key.reference_sha256[:COMMIT_DIGITS]}"
    if series.reason:
        about += f", accepted: {series.reason}"
    bad = series.levels and first_bad_commit(series, series.levels)
    lines = [change_line(series, change) for change in changes_of(series)]
    if bad:
        lines.insert(0, f"Worse since commit {bad[:COMMIT_DIGITS]}.")
    rows = [_row(series, index, name) for index in reversed(range(len(series.points)))]
    return "\n".join(
        [
            f'<section id="{name}">\n<h2>{html.escape(f"{key.metric}, {key.model}")}</h2>',
            f"<p>{html.escape(about)}</p>",
            *(f'<p class="warning">{html.escape(line)}</p>' for line in lines),
            f'<div class="both"><div>{chart(series, name)}',
            '<p class="detail" role="status"></p>',
            f"{plain(series)}\n<p>{html.escape(PLAIN)}</p></div>",
            table(f"Points of {key.metric}, {key.model}", POINT_COLUMNS, POINT_NUMBERS, rows, "scroll rows"),
            "</div>\n</section>",
        ]
    )


def _row(series: Series, index: int, name: str) -> str:
    """A point, which its commit leads to in the picture."""
    point: dict[str, Any] = series.points[index]
    low, high = point["interval"]
    commit = point["commit"][:COMMIT_DIGITS] if point["commit"] else "unknown"
    changes = [f"{change.effect:+.1%}" for change in changes_of(series) if change.first == index]
    texts = (
        point["date_utc"][:16].replace("T", " "),
        f"{point['ratio'] - 1:+.2%}",
        "" if low in (None, high) else f"{low - 1:+.2%} to {high - 1:+.2%}",
        str(point["pairs"] or ""),
        point["verdict"],
        f"{point['candidate']:.4g}",
        "; ".join(changes + point["environment_changes"]),
    )
    return (
        f'<tr id="{name}-r{index}"><th scope="row"><a href="#{name}-p{index}">{html.escape(commit)}</a></th>'
        f"{cells('td', texts, [number - 1 for number in POINT_NUMBERS])}</tr>"
    )
