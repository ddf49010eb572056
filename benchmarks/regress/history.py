"""What a series of ratios adds up to: a verdict against history, the commit from which on it is worse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from edgevid.benchmarks.regress.changes import DEMAND, MIN_POINTS, Change, Levels
from edgevid.benchmarks.regress.metrics import IMPROVEMENT, PASS, REGRESSION
from edgevid.benchmarks.regress.series import Series, series_of

COMMIT_DIGITS = 10
COLUMNS = ("model", "threads", "metric", "reference", "points", "now", "95% interval", "verdict")


def judged(
    verdict: dict[str, Any], record: dict[str, Any], earlier: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """The verdict with a metric for each series that ``record`` continues and that has enough points.

    A level that has risen by the threshold since the series began is a regression, whatever this commit did.
    """
    metrics, reasons = [], []
    for series in series_of([*earlier, record]):
        levels = series.levels if series.is_judged and series.key.metric in record["metrics"] else None
        if levels is None:
            continue
        metrics.append(_metric(series, levels))
        if metrics[-1]["verdict"] == REGRESSION:
            reasons.append(f"{series.key.metric} has risen by {levels.ratio - 1:.1%} {since(series, levels)}")
    if not metrics:
        return verdict
    if reasons:
        verdict = {
            **verdict,
            "verdict": REGRESSION,
            "why": "; ".join(filter(None, [verdict["why"], *reasons])),
        }
    return {**verdict, "metrics": verdict["metrics"] + metrics}


def _metric(series: Series, levels: Levels) -> dict[str, Any]:
    """By the keys of ``edgevid regress --json``; baseline and candidate are ratios to the reference."""
    return {
        "name": f"{series.key.metric} against history",
        "baseline": levels.first,
        "candidate": levels.last,
        "ratio": levels.ratio,
        "interval": list(levels.interval or (None, None)),
        "verdict": verdict_of(levels, series.threshold),
        "smallest_effect": levels.smallest_effect,
        "points": len(series.points),
        "first_bad_commit": first_bad_commit(series, levels),
    }


def verdict_of(levels: Levels, threshold: float) -> str:
    shift = levels.ratio - 1
    if abs(shift) < DEMAND * threshold:
        return PASS
    return REGRESSION if shift > 0 else IMPROVEMENT


def first_bad_commit(series: Series, levels: Levels) -> str | None:
    """The commit from which on a series has been worse; None if it is not, or its commit is not known."""
    if verdict_of(levels, series.threshold) != REGRESSION or levels.first_bad is None:
        return None
    return series.points[levels.first_bad.first]["commit"]


def since(series: Series, levels: Levels) -> str:
    """Since when a series has been worse, such as ``since commit 0123abc``."""
    change = levels.first_bad
    return "since its first points" if change is None else described(series, change)


def described(series: Series, change: Change) -> str:
    """When a change came, with what changed in the environment at the same time."""
    names = [_name(series.points[index]) for index in (change.first, change.last)]
    text = f"from {names[0]} to {names[1]}, little by little" if change.is_creep else f"since {names[0]}"
    environment = [
        difference
        for point in series.points[change.first : change.last + 1]
        for difference in point["environment_changes"]
    ]
    return f"{text} (where the environment changed: {', '.join(environment)})" if environment else text


def _name(point: dict[str, Any]) -> str:
    return (
        f"commit {point['commit'][:COMMIT_DIGITS]}" if point["commit"] else f"the run of {point['date_utc']}"
    )


def document(store: str, series: Sequence[Series]) -> dict[str, Any]:
    """``edgevid history --json``."""
    return {"schema": 1, "store": store, "series": [_record(item) for item in series]}


def _record(series: Series) -> dict[str, Any]:
    levels = series.levels
    return {
        **series.key._asdict(),
        "reference_accepted": series.reason or None,
        "threshold": series.threshold,
        "is_judged": series.is_judged,
        "verdict": None if levels is None else verdict_of(levels, series.threshold),
        "ratio": None if levels is None else levels.ratio,
        "interval": None if levels is None or levels.interval is None else list(levels.interval),
        "smallest_effect": None if levels is None else levels.smallest_effect,
        "first_bad_commit": None if levels is None else first_bad_commit(series, levels),
        "changes": [
            {
                "kind": "creep" if change.is_creep else "step",
                "effect": change.effect,
                "first": change.first,
                "last": change.last,
                "first_commit": series.points[change.first]["commit"],
                "last_commit": series.points[change.last]["commit"],
                "when": described(series, change),
            }
            for change in changes_of(series)
        ],
        "points": [
            {key: value for key, value in point.items() if key != "environment"} for point in series.points
        ],
    }


def report(series: Sequence[Series]) -> str:
    """A row for each series, then a line for each change and each reason."""
    from tabulate import tabulate

    rows, lines = [], []
    for item in series:
        rows.append(row(item))
        title = f"{item.key.model} {item.key.metric}"
        lines += [f"{title}: {change_line(item, change)}" for change in changes_of(item)]
    reasons = {item.key.reference_sha256: item.reason for item in series if item.reason}
    lines += [f"reference {sha[:COMMIT_DIGITS]} was accepted: {reason}" for sha, reason in reasons.items()]
    alignment = ["left", "right", "left", "left", "right", "right", "right", "left"]
    table = tabulate(rows, COLUMNS, colalign=alignment, disable_numparse=True)
    return "\n".join([table, *([""] if lines else []), *lines])


def row(series: Series) -> tuple[str, ...]:
    """By ``COLUMNS``."""
    levels, points = series.levels, len(series.points)
    now = interval = ""
    verdict = f"{MIN_POINTS - points} points to go"
    if levels is not None:
        now = f"{levels.ratio - 1:+.1%}"
        interval = " to ".join(f"{end - 1:+.1%}" for end in levels.interval or ())
        verdict = verdict_of(levels, series.threshold) if series.is_judged else "not judged"
    key = series.key
    threads = "" if key.threads is None else str(key.threads)
    return (
        key.model,
        threads,
        key.metric,
        key.reference_sha256[:COMMIT_DIGITS],
        str(points),
        now,
        interval,
        verdict,
    )


def changes_of(series: Series) -> tuple[Change, ...]:
    return series.levels.changes if series.levels else ()


def change_line(series: Series, change: Change) -> str:
    """Such as ``+3.1% since commit 0123abc``."""
    return f"{change.effect:+.1%} {described(series, change)}"
