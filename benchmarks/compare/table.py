"""A comparison as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = (
    "", "model", "target", "backend", "precision", "frames", "size", "top-1 %", "p50 ms", "p50 interval",
    "clips/s", "peak MiB", "mJ/clip",
)  # fmt: skip
TEXT_COLUMNS = 5
PARETO = "*"


def table(document: dict[str, Any]) -> str:
    """Points, most accurate first, then a row with the reason for each failure, then the notes."""
    from tabulate import tabulate

    points = sorted(document["points"], key=_order)
    rows = [row(point) for point in points]
    rows += [_failed(failure, number) for number, failure in enumerate(document["failures"], 1)]
    alignment = ["left"] * TEXT_COLUMNS + ["right"] * (len(COLUMNS) - TEXT_COLUMNS)
    lines = [tabulate(rows, COLUMNS, colalign=alignment, disable_numparse=True), ""] if rows else []
    lines += [f"failed ({number}): {item['why']}" for number, item in enumerate(document["failures"], 1)]
    if any(point["pareto"] for point in points):
        lines.append(f"{PARETO}: on the Pareto front: no other is faster and as accurate")
    return "\n".join([*lines, *_devices(points), *document["notes"]])


def row(point: dict[str, Any]) -> tuple[str, ...]:
    low, high = point["latency_ms"]["interval"]
    return (
        PARETO if point["pareto"] else "",
        *(str(point[key]) for key in ("model", "target", "backend", "precision", "frames", "size")),
        accuracy_text(point["accuracy"]),
        number_text(point["latency_ms"]["p50"]),
        f"{low:.4g} to {high:.4g}",
        number_text(point["throughput"]["clips_per_s"]),
        number_text(point["memory_mib"]["peak"]),
        number_text(point["energy_mj_per_clip"]),
    )


def accuracy_text(accuracy: dict[str, Any]) -> str:
    """Such as ``74.1 (published)`` or ``91.3 ± 1.2``; half the interval's width where it is measured."""
    if accuracy["top1"] is None:
        return "-"
    top1 = f"{100 * accuracy['top1']:.4g}"
    if accuracy["kind"] == "published":
        return f"{top1} (published)"
    low, high = accuracy["interval"]
    return f"{top1} ± {50 * (high - low):.2g}"


def number_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _failed(failure: dict[str, Any], number: int) -> tuple[str, ...]:
    facts = [failure[key] for key in ("model", "target", "backend", "precision", "frames", "size")]
    cells = ["", *("-" if fact is None else str(fact) for fact in facts), f"failed ({number})"]
    return (*cells, *[""] * (len(COLUMNS) - len(cells)))


def _order(point: dict[str, Any]) -> tuple[float, float]:
    return -(point["accuracy"]["top1"] or 0.0), point["latency_ms"]["p50"]


def _devices(points: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"device observed: {name}" for name in dict.fromkeys(point["ran_on"]["device"] for point in points)
    ]
