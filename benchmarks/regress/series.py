"""Series of ratios to a kept reference build: what the gate found, one commit after another.

Ratios of pairs are near white noise, whatever the machines did between two commits, so a change in them is
one of the code or of the environment. The plain times beside them are shown, never judged.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from edgevid.benchmarks.regress.changes import MIN_POINTS, Levels, levels_of
from edgevid.benchmarks.regress.gate import SAME_ENVIRONMENT
from edgevid.benchmarks.regress.metrics import ENERGY, MEASURES

ACCEPTED = "accepted"
"""The verdict of a record that says why a reference was accepted."""
UNJUDGED = {measure.name for measure in (*MEASURES, ENERGY) if not measure.decides}


class Key(NamedTuple):
    """What the points of one series have in common."""

    model: str
    device: str
    threads: int | None
    reference_sha256: str
    metric: str


@dataclass(frozen=True)
class Series:
    """``points`` in the order of their dates; ``reason`` is why the reference was accepted, if known."""

    key: Key
    points: list[dict[str, Any]]
    threshold: float
    reason: str = ""

    @functools.cached_property
    def levels(self) -> Levels | None:
        """None of too few points."""
        ratios = [point["ratio"] for point in self.points]
        return levels_of(ratios, self.threshold) if len(ratios) >= MIN_POINTS else None

    @property
    def is_judged(self) -> bool:
        return self.key.metric not in UNJUDGED


def record_of(verdict: dict[str, Any], commit: str | None) -> dict[str, Any] | None:
    """What the store keeps of a verdict; None without an environment, since nothing was measured then.

    A ratio of too few pairs for an interval is left out.
    """
    if verdict["environment"] is None:
        return None
    metrics = {
        metric["name"]: {
            "ratio": metric["ratio"],
            "interval": metric["interval"],
            "candidate": metric["candidate"],
            "verdict": metric["verdict"],
            "pairs": metric.get("pair_ratios", []),
        }
        for metric in verdict["metrics"]
        if metric["ratio"] is not None and metric["interval"][0] is not None
    }
    return {
        "verdict_id": str(uuid.uuid4()),
        "model": verdict["candidate"]["model"],
        "threads": verdict.get("threads"),
        "reference_sha256": verdict["baseline"]["bundle_sha256"],
        "candidate_sha256": verdict["candidate"]["bundle_sha256"],
        "candidate_commit": commit,
        "verdict": verdict["verdict"],
        "why": verdict["why"],
        "threshold": verdict["threshold"],
        "metrics": metrics,
        "environment": verdict["environment"],
    }


def acceptance_of(
    bundle_sha256: str, model: str, reason: str, commit: str | None, environment: dict[str, Any]
) -> dict[str, Any]:
    """What the store keeps of a new reference."""
    return {
        "verdict_id": str(uuid.uuid4()),
        "model": model,
        "threads": None,
        "reference_sha256": bundle_sha256,
        "candidate_sha256": bundle_sha256,
        "candidate_commit": commit,
        "verdict": ACCEPTED,
        "why": reason,
        "metrics": {},
        "environment": environment,
    }


def series_of(records: Iterable[dict[str, Any]]) -> list[Series]:
    """The series of verdicts from a store, by model, device, threads, reference and metric."""
    points: dict[Key, list[dict[str, Any]]] = {}
    thresholds: dict[Key, float] = {}
    reasons: dict[str, str] = {}
    for record in sorted(records, key=_date):
        if record["verdict"] == ACCEPTED:
            reasons[record["reference_sha256"]] = record["why"]
        for name, metric in record["metrics"].items():
            device = record["environment"].get("device") or "unknown device"
            key = Key(record["model"], device, record.get("threads"), record["reference_sha256"], name)
            thresholds[key] = record["threshold"]
            points.setdefault(key, []).append(_point(record, metric))
    for series in points.values():
        for before, after in pairwise(series):
            after["environment_changes"] = differences(before["environment"], after["environment"])
    return [
        Series(key, points[key], thresholds[key], reasons.get(key.reference_sha256, ""))
        for key in sorted(points, key=lambda key: tuple(map(str, key)))
    ]


def _point(record: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    return {
        "date_utc": _date(record),
        "commit": record.get("candidate_commit"),
        "ratio": metric["ratio"],
        "interval": metric["interval"],
        "pairs": len(metric["pairs"]),
        "candidate": metric["candidate"],
        "verdict": metric["verdict"],
        "environment": record["environment"],
        "environment_changes": [],
    }


def _date(record: dict[str, Any]) -> str:
    return record["environment"].get("date_utc") or ""


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What differs between two environments, such as ``kernel 6.1 to 6.2``."""
    found = []
    for key in SAME_ENVIRONMENT:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
            found += [f"{name} {_text(old.get(name))} to {_text(new.get(name))}" for name in names]
        elif old != new:
            found.append(f"{key.replace('_', ' ')} {_text(old)} to {_text(new)}")
    return found


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
