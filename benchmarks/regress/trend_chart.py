"""A series of ratios as a picture: a mark for each point, the levels, and where they changed."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from edgevid.benchmarks.regress.changes import Change, Levels
from edgevid.benchmarks.regress.history import COMMIT_DIGITS, changes_of
from edgevid.benchmarks.regress.series import Series

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 260, 56, 26, 12, 40
SMALL_HEIGHT = 110
LEAST_RANGE = 0.01
"""Of ratios on each side, so that noise does not fill the picture."""
TICKS = 4
MARKS = {
    "regression": '<path class="bad" d="M0-6 6 5-6 5z"/>',
    "improvement": '<path class="good" d="M0 6 6-5-6-5z"/>',
    "inconclusive": '<circle class="open" r="4"/>',
}
MARK = '<circle class="dot" r="4"/>'


class Scale:
    """Positions in a picture of ``count`` points with values from ``low`` to ``high``."""

    def __init__(self, count: int, low: float, high: float, height: int = HEIGHT) -> None:
        self.count, self.low, self.high, self.height = count, low, high, height

    def x(self, index: float) -> float:
        return LEFT + 12 + index / max(1, self.count - 1) * (WIDTH - LEFT - RIGHT - 24)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    @property
    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * number / TICKS for number in range(TICKS + 1)]


def chart(series: Series, name: str) -> str:
    """The ratios; the marks are ``NAME-p0`` and so on, and each names its row of the table, ``NAME-r0``."""
    ratios = [point["ratio"] for point in series.points]
    room = max(LEAST_RANGE, (max(ratios) - min(ratios)) * 0.1)
    scale = Scale(len(ratios), min(ratios) - room, max(ratios) + room)
    changes = changes_of(series)
    drawn = [_axes(scale, [f"{tick - 1:+.1%}" for tick in scale.ticks], series.points)]
    drawn += [_environment(scale, index) for index, point in enumerate(series.points) if _changed(point)]
    drawn += [_change(scale, change) for change in changes]
    drawn += [_interval(scale, index, point) for index, point in enumerate(series.points)]
    if series.levels:
        drawn.append(_levels(scale, series.levels, changes))
    marks = "".join(
        f'<g class="point" id="{name}-p{index}" data-row="{name}-r{index}" role="listitem" tabindex="-1" '
        f'aria-label="{html.escape(label(point))}" '
        f'transform="translate({scale.x(index):.1f} {scale.y(point["ratio"]):.1f})">'
        f"{MARKS.get(point['verdict'], MARK)}</g>"
        for index, point in enumerate(series.points)
    )
    title = f"{series.key.metric} of {series.key.model} over the reference, {len(ratios)} points"
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="list" tabindex="0" '
        f'aria-label="{html.escape(title)}"><g aria-hidden="true">{"".join(drawn)}</g>{marks}</svg>'
    )


def plain(series: Series) -> str:
    """The candidate's own numbers, which are those of the machine too."""
    values = [point["candidate"] for point in series.points]
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or abs(high) * 0.01 or 1.0
    scale = Scale(len(values), low - room, high + room, SMALL_HEIGHT)
    dots = "".join(
        f'<circle class="plain" cx="{scale.x(index):.1f}" cy="{scale.y(value):.1f}" r="2.5"/>'
        for index, value in enumerate(values)
    )
    axes = _axes(scale, [f"{low:.4g}", *[""] * (TICKS - 1), f"{high:.4g}"], series.points)
    title = f"{series.key.metric} of {series.key.model}, the numbers themselves: {low:.4g} to {high:.4g}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {SMALL_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{axes}{dots}</svg>"
    )


def label(point: dict[str, Any]) -> str:
    """A point in words."""
    low, high = point["interval"]
    parts = [
        f"commit {point['commit'][:COMMIT_DIGITS]}" if point["commit"] else "unknown commit",
        point["date_utc"][:16].replace("T", " "),
        f"{point['ratio'] - 1:+.2%}"
        + ("" if low in (None, high) else f" ({low - 1:+.2%} to {high - 1:+.2%})"),
        *([f"{point['pairs']} pairs"] if point["pairs"] else []),
        point["verdict"],
        *([f"the environment changed: {', '.join(point['environment_changes'])}"] if _changed(point) else []),
    ]
    return ", ".join(parts)


def _changed(point: dict[str, Any]) -> bool:
    return bool(point["environment_changes"])


def _axes(scale: Scale, labels: Sequence[str], points: Sequence[dict[str, Any]]) -> str:
    bottom = scale.height - BOTTOM
    lines = "".join(
        f'<path class="axis" d="M{LEFT} {scale.y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{scale.y(tick) + 4:.1f}" text-anchor="end">{text}</text>'
        for tick, text in zip(scale.ticks, labels)
        if text
    )
    first, last = (html.escape(point["date_utc"][:10]) for point in (points[0], points[-1]))
    return (
        f'{lines}<text x="{LEFT}" y="{bottom + 30}">{first}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{bottom + 30}" text-anchor="end">{last}</text>'
    )


def _interval(scale: Scale, index: int, point: dict[str, Any]) -> str:
    low, high = point["interval"]
    if low is None or low == high:
        return ""
    return f'<path class="whisker" d="M{scale.x(index):.1f} {scale.y(low):.1f}V{scale.y(high):.1f}"/>'


def _environment(scale: Scale, index: int) -> str:
    """Between two points: the later one is the first with another environment."""
    x, bottom = scale.x(index - 0.5), scale.height - BOTTOM
    return (
        f'<path class="environment" d="M{x:.1f} {TOP}V{bottom}"/>'
        f'<path class="diamond" d="M{x:.1f} {bottom}l5 6-5 6-5-6z"/>'
    )


def _change(scale: Scale, change: Change) -> str:
    """A line for a step, a band for a creep, with its effect above."""
    kind, bottom = "worse" if change.effect > 0 else "better", scale.height - BOTTOM
    if change.is_creep:
        left, right = scale.x(change.first - 1), scale.x(change.last)
        shape = (
            f'<rect class="creep {kind}" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" '
            f'height="{bottom - TOP}"/>'
        )
    else:
        left = right = scale.x(change.first - 0.5)
        shape = f'<path class="step {kind}" d="M{left:.1f} {TOP}V{bottom}"/>'
    return (
        f'{shape}<text x="{(left + right) / 2:.1f}" y="{TOP - 8}" text-anchor="middle">'
        f"{change.effect:+.1%}</text>"
    )


def _levels(scale: Scale, levels: Levels, changes: Sequence[Change]) -> str:
    """From the first level through each change to the last one."""
    value = levels.first
    corners = [(0.0, value)]
    for change in changes:
        ends = (change.first - 1, change.last) if change.is_creep else (change.first - 0.5,) * 2
        corners.append((ends[0], value))
        value *= 1 + change.effect
        corners.append((ends[1], value))
    corners.append((scale.count - 1, value))
    path = "L".join(f"{scale.x(index):.1f} {scale.y(level):.1f}" for index, level in corners)
    return f'<path class="level" d="M{path}"/>'
