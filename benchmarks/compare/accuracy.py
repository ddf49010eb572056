"""Accuracies: measured here, or published by others under a protocol of theirs."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.csv")
FLOATS = ("fp32", "fp16")
"""Precisions for which a published accuracy, always of float weights, is shown."""

KEYS = ("top1", "interval", "kind", "protocol", "dataset", "source")
"""Of the ``accuracy`` of a point; ``remarks`` are what ``edgevid eval`` says of a measured one."""

Evaluate = Callable[[str], "dict[str, Any]"]
"""``evaluate(bundle)``: what ``edgevid eval --json`` says of it on the data set of this comparison."""


@dataclass(frozen=True)
class Published:
    """A row of ``published.csv``: ``top1`` from 0 to 1, for inputs of ``frames`` and ``size`` pixels."""

    model: str
    dataset: str
    top1: float
    frames: int
    size: int
    protocol: str
    source: str

    def describes(self, point: dict[str, Any]) -> bool:
        same = all(point[key] == getattr(self, key) for key in ("model", "frames", "size"))
        return same and point["precision"] in FLOATS and not point["streaming"]


def published(file: Path = FILE) -> list[Published]:
    """What others published, in the order of the file."""
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Published(
                row["model"], row["dataset"], round(float(row["top1"]) / 100, 6), int(row["frames"]),
                int(row["size"]), row["protocol"], row["source"],
            )
            for row in csv.DictReader(lines)
        ]  # fmt: skip


def choose(points: Sequence[dict[str, Any]], rows: Iterable[Published], dataset: str | None) -> list[Any]:
    """For each point the published accuracy to show beside the others', or None.

    All are of one data set: ``dataset``, or the one that has most of the points. A point with several takes
    the one whose protocol and source most other points have too.
    """
    fitting = [[row for row in rows if row.describes(point)] for point in points]
    if dataset is None:
        counts = Counter(name for rows in fitting for name in {row.dataset for row in rows})
        dataset = counts.most_common(1)[0][0] if counts else None
    fitting = [[row for row in rows if row.dataset == dataset] for rows in fitting]
    shared = Counter(kind for rows in fitting for kind in {_kind(row) for row in rows})
    return [max(rows, key=lambda row: shared[_kind(row)], default=None) for rows in fitting]


def _kind(row: Published) -> tuple[str, str]:
    return row.protocol, row.source


def of_published(row: Published | None) -> dict[str, Any]:
    """The ``accuracy`` of a point; empty of facts where nobody published one."""
    if row is None:
        return {**dict.fromkeys(KEYS), "remarks": []}
    return {
        "top1": row.top1,
        "interval": None,
        "kind": "published",
        "protocol": row.protocol,
        "dataset": row.dataset,
        "source": row.source,
        "remarks": [],
    }


def of_measured(result: dict[str, Any]) -> dict[str, Any]:
    return {
        "top1": result["top1"],
        "interval": result["top1_interval"],
        "kind": "measured",
        "protocol": result["protocol"],
        "dataset": result["dataset"],
        "source": "measured here",
        "remarks": result["remarks"],
    }
