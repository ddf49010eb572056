"""The chart of a comparison as SVG: accuracy against latency, with error bars and the Pareto fronts.

It is a file of its own for ``--plot``, and a part of the page, whose script makes its marks interactive.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.compare.points import fronts, labels
from edgevid.errors import BenchmarkError

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 58, 24, 44, 52
LETTER, LINE = 7.0, 13
"""The width of a letter and the height of a line of a label."""
ANCHORS = {1: "start", -1: "end"}
"""Of a label to the right and to the left of its mark."""
WIDE_LETTER = 10.0
"""The width of a letter of the legend on a phone, where the text of a page's chart is larger."""
COLORS = 8
SHAPES = {"measured": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z", "published": "M0-6.5 6.5 0 0 6.5-6.5 0z"}
WORDS = {"measured": "measured here", "published": "published by others, not measured here"}
LEGEND = {"measured": "measured here", "published": "published by others"}
STYLE = """
.chart { --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --c0: #0b62c4; --c1: #b3470c;
  --c2: #17743a; --c3: #7b3fa0; --c4: #a01c5d; --c5: #5d6a00; --c6: #006d77; --c7: #5a5a5a; }
@media (prefers-color-scheme: dark) { .chart { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa4af;
  --line: #30363d; --c0: #6cb0ff; --c1: #ff9d5c; --c2: #63d18a; --c3: #d3a4ff; --c4: #ff8fc0; --c5: #cbd45c;
  --c6: #5fd4de; --c7: #c0c0c0; } }
.chart text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.chart .label { fill: var(--ink); stroke: var(--paper); stroke-width: 4px; paint-order: stroke; }
.chart .paper { fill: var(--paper); } .chart .grid { stroke: var(--line); }
.chart .front { fill: none; stroke: var(--soft); stroke-dasharray: 5 4; }
.chart .error { stroke: var(--c); } .chart .symbol { fill: var(--c); stroke: var(--c); stroke-width: 1.5; }
.chart .published .symbol { fill: var(--paper); }
""" + "".join(f".chart .c{number} {{ --c: var(--c{number}); }}\n" for number in range(COLORS))


@dataclass(frozen=True)
class Scales:
    """From milliseconds (logarithmic) and percent to the picture's coordinates."""

    ms: tuple[float, float]
    percent: tuple[float, float]

    @classmethod
    def of(cls, points: Sequence[dict[str, Any]]) -> Scales:
        """So that every mark with its error bars is inside, with some room for names."""
        ms = [value for point in points for value in point["latency_ms"]["interval"]]
        percent = [100 * value for point in points for value in ends(point["accuracy"])]
        room = max(1.0, 0.12 * (max(percent) - min(percent)))
        return cls(
            (min(ms) / 1.25, max(ms) * 1.25), (max(0.0, min(percent) - room), min(100.0, max(percent) + room))
        )

    def x(self, ms: float) -> float:
        low, high = map(math.log, self.ms)
        return LEFT + (math.log(ms) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def place(self, point: dict[str, Any]) -> tuple[float, float]:
        return self.x(point["latency_ms"]["p50"]), self.y(100 * point["accuracy"]["top1"])

    def y(self, percent: float) -> float:
        low, high = self.percent
        return HEIGHT - BOTTOM - (percent - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def ends(accuracy: dict[str, Any]) -> tuple[float, float]:
    """The ends of an accuracy's error bar; a published one has none."""
    low, high = accuracy["interval"] or (accuracy["top1"], accuracy["top1"])
    return low, high


def charted(points: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The points that have a place in the chart, those with an accuracy, by their index."""
    return {index: point for index, point in enumerate(points) if point["accuracy"]["top1"] is not None}


def svg(points: Sequence[dict[str, Any]], alone: bool = True) -> str:
    """The picture; ``alone``: as a file of its own. Raises ``BenchmarkError`` if no point has an accuracy.

    The mark of ``points[i]`` has the id ``p{i}``. All names are escaped.
    """
    shown = charted(points)
    if not shown:
        raise BenchmarkError("no point has an accuracy to draw: measure it with --dataset DIR")
    drawn = list(shown.values())
    scales = Scales.of(drawn)
    models = list(dict.fromkeys(point["model"] for point in points))
    names = labels(points)
    marks = "".join(
        _mark(index, point, names[index], models.index(point["model"]) % COLORS, scales)
        for index, point in shown.items()
    )
    bars = [bar for point in drawn for bar in _bars(point, scales)]
    places = place_labels({index: scales.place(point) for index, point in shown.items()}, names, bars)
    texts = "".join(
        f'<text class="label" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{html.escape(names[index])}</text>"
        for index, (x, y, anchor) in places.items()
    )
    label = html.escape(f"Accuracy against latency of {len(shown)} bundles; the table has the same numbers")
    header = f' xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"' if alone else ""
    return (
        f'<svg{header} class="chart" id="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="list" tabindex="0" '
        f'aria-label="{label}"><style>{STYLE}</style><rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>'
        f"{_axes(scales, drawn)}{_fronts(drawn, scales)}{_legend(drawn)}{texts}{marks}</svg>"
    )


def sentence(point: dict[str, Any], name: str) -> str:
    """What a mark says to who cannot see it."""
    latency, accuracy = point["latency_ms"], point["accuracy"]
    front = ", on the Pareto front" if point["pareto"] else ""
    return (
        f"{name}: {latency['p50']:.4g} ms, {100 * accuracy['top1']:.4g} %, {WORDS[accuracy['kind']]}{front}"
    )


def _mark(number: int, point: dict[str, Any], name: str, color: int, scales: Scales) -> str:
    kind = point["accuracy"]["kind"]
    (left, right), (low, high) = point["latency_ms"]["interval"], ends(point["accuracy"])
    x, y = scales.place(point)
    return (
        f'<g class="point c{color} {kind}" id="p{number}" tabindex="-1" role="listitem" '
        f'aria-label="{html.escape(sentence(point, name))}">'
        f'<path class="error" d="M{scales.x(left):.1f} {y:.1f}H{scales.x(right):.1f}'
        f'M{x:.1f} {scales.y(100 * low):.1f}V{scales.y(100 * high):.1f}"/>'
        f'<path class="symbol" d="{SHAPES[kind]}" transform="translate({x:.1f} {y:.1f})"/></g>'
    )


def _axes(scales: Scales, points: Sequence[dict[str, Any]]) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<path class="grid" d="M{scales.x(ms):.1f} {TOP}V{bottom}"/>'
        f'<text x="{scales.x(ms):.1f}" y="{bottom + 18}" text-anchor="middle">{ms:g}</text>'
        for ms in log_ticks(*scales.ms)
    ]
    parts += [
        f'<path class="grid" d="M{LEFT} {scales.y(percent):.1f}H{right}"/>'
        f'<text x="{LEFT - 8}" y="{scales.y(percent) + 4:.1f}" text-anchor="end">{percent:g}</text>'
        for percent in ticks(*scales.percent)
    ]
    datasets = dict.fromkeys(str(point["accuracy"]["dataset"]) for point in points)
    per = " or ".join(dict.fromkeys(point["latency_ms"]["per"] for point in points))
    y_title = html.escape(f"top-1 accuracy in %, {', '.join(datasets)}")
    middle = (TOP + bottom) / 2
    return (
        f'{"".join(parts)}<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"latency per {per} in ms (p50, logarithmic)</text>"
        f'<text x="16" y="{middle}" transform="rotate(-90 16 {middle})" text-anchor="middle">{y_title}</text>'
    )


def _legend(points: Sequence[dict[str, Any]]) -> str:
    """Which mark is a measured and which a published accuracy."""
    parts, x = [], float(LEFT)
    for kind in dict.fromkeys(point["accuracy"]["kind"] for point in points):
        parts.append(
            f'<g class="c7 {kind}"><path class="symbol" d="{SHAPES[kind]}" '
            f'transform="translate({x + 6} 20)"/></g><text x="{x + 18}" y="24">{LEGEND[kind]}</text>'
        )
        x += 40 + WIDE_LETTER * len(LEGEND[kind])
    parts.append(f'<path class="front" d="M{x} 20h24"/><text x="{x + 30}" y="24">Pareto front</text>')
    return "".join(parts)


def _fronts(points: Sequence[dict[str, Any]], scales: Scales) -> str:
    lines = []
    for front in fronts(points):
        places = (scales.place(point) for point in front)
        lines.append(f'<path class="front" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>')
    return "".join(lines)


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from ``low`` to ``high``; even steps where these are under three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [
        value for power in powers for value in (10.0**power * i for i in (1, 2, 5)) if low <= value <= high
    ]
    return values if len(values) > 2 else ticks(low, high)


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """At most ``most`` round values from ``low`` to ``high``."""
    step = next(
        size * 10.0**power
        for power in range(-3, 3)
        for size in (1, 2, 5)
        if (high - low) / (size * 10.0**power) < most
    )
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def place_labels(
    marks: Mapping[int, tuple[float, float]],
    names: Sequence[str],
    bars: Sequence[tuple[float, float, float, float]] = (),
) -> dict[int, tuple[float, float, str]]:
    """Where the name of each mark is, and its anchor: beside it, where it covers least of all else."""
    taken = [*((x - 6, y - 6, x + 6, y + 6) for x, y in marks.values()), *bars]
    places: dict[int, tuple[float, float, str]] = {}
    for index, (x, y) in marks.items():
        spots = [
            (x + 10, y + 4, "start"),
            (x - 10, y + 4, "end"),
            (x, y - 11, "middle"),
            (x, y + 20, "middle"),
        ]
        spots += [(x + 8 * side, y + down, ANCHORS[side]) for side in (1, -1) for down in (-10, 18)]
        boxes = [_box(spot, LETTER * len(names[index])) for spot in spots]
        costs = [_outside(box) * 1e6 + sum(_overlap(box, other) for other in taken) for box in boxes]
        best = costs.index(min(costs))
        places[index] = spots[best]
        taken.append(boxes[best])
    return places


def _box(spot: tuple[float, float, str], width: float) -> tuple[float, float, float, float]:
    x, base, anchor = spot
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    return left, base - LINE + 2, left + width, base + 3


def _bars(point: dict[str, Any], scales: Scales) -> list[tuple[float, float, float, float]]:
    """The boxes of a mark's error bars."""
    (left, right), (low, high) = point["latency_ms"]["interval"], ends(point["accuracy"])
    x, y = scales.place(point)
    return [
        (scales.x(left), y - 1, scales.x(right), y + 1),
        (x - 1, scales.y(100 * high), x + 1, scales.y(100 * low)),
    ]


def _outside(box: tuple[float, ...]) -> bool:
    return box[0] < LEFT or box[2] > WIDTH - 2 or box[1] < TOP or box[3] > HEIGHT - BOTTOM


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
