"""The verdict of the gate as a table for people."""

from __future__ import annotations

import statistics
from typing import Any

COLUMNS = ("metric", "baseline", "candidate", "change", "95% interval", "verdict")


def report(verdict: dict[str, Any]) -> str:
    """A row per metric, then the verdict in a sentence, with what these pairs could have seen."""
    from tabulate import tabulate

    rows = [row(metric) for metric in verdict["metrics"]]
    alignment = ["left", "right", "right", "right", "right", "left"]
    table = tabulate(rows, COLUMNS, colalign=alignment, disable_numparse=True)
    return f"{table}\n\n" + "\n".join([sentence(verdict), *remarks(verdict)])


def remarks(verdict: dict[str, Any]) -> list[str]:
    """What belongs below the sentence: how the energy was measured, and what was not compared."""
    return [*_energy(verdict), *_not_measured(verdict)]


def _energy(verdict: dict[str, Any]) -> list[str]:
    """What measured the energy, in how many pairs, and how well."""
    for metric in verdict["metrics"]:
        if sensor := metric.get("power_sensor"):
            uncertain = (statistics.median(values) for values in metric["uncertainty"].values())
            discarded = f" ({metric['discarded_pairs']} more discarded)" if metric["discarded_pairs"] else ""
            return [
                f"energy: {metric['pairs']} pairs{discarded}, {sensor['scope']} by {sensor['name']}"
                f"{', simulated' if sensor['simulated'] else ''}, without idle power; each within "
                + " and ".join(f"{value:.2g}" for value in uncertain)
                + " mJ"
            ]
    return []


def _not_measured(verdict: dict[str, Any]) -> list[str]:
    """A line for each reason."""
    names: dict[str, list[str]] = {}
    for name, why in verdict.get("not_measured", {}).items():
        names.setdefault(why, []).append(name)
    return [f"not compared: {', '.join(names[why])} ({why})" for why in names]


def sentence(verdict: dict[str, Any]) -> str:
    if verdict.get("measure") == "instructions":
        return _of_instructions(verdict)
    pairs = f"{verdict['pairs']} pairs of processes in {verdict['seconds']:.0f} s"
    if verdict["discarded_pairs"]:
        pairs += f" ({verdict['discarded_pairs']} more discarded, as others used the cores)"
    text = f"{verdict['verdict']}: {pairs}; the slow-down to catch is {verdict['threshold']:.1%}"
    if verdict["why"]:
        return f"{text}. {verdict['why']}"
    in_pairs = [metric for metric in verdict["metrics"] if "samples" in metric]
    seen = [metric["smallest_effect"] for metric in in_pairs if metric["smallest_effect"]]
    return f"{text}, and {max(seen):.1%} would have been seen" if seen else text


def described(metric: dict[str, Any], threshold: float) -> str:
    """A metric in one line, such as ``latency_p50_ms: regression, 10 to 11.2 (+12.0%, ...)``."""
    name, before, after, change, interval, result = row(metric)
    commit = metric.get("first_bad_commit")
    parts = [
        change,
        interval and f"95% interval {interval}",
        f"threshold {threshold:.1%}",
        commit and f"since commit {commit[:10]}",
    ]
    return f"{name}: {result}, {before} to {after} ({'; '.join(filter(None, parts))})"


def _of_instructions(verdict: dict[str, Any]) -> str:
    text = (
        f"{verdict['verdict']}: instructions of one inference, counted in {verdict['seconds']:.0f} s; "
        f"more than {verdict['threshold']:+.1%} is a regression"
    )
    return ". ".join([text, *filter(None, [verdict["why"]]), *verdict["notes"]])


def row(metric: dict[str, Any]) -> tuple[str, ...]:
    low, high = metric["interval"]
    is_count = metric["name"].startswith("instructions")
    number, change = (",.0f", "+.2%") if is_count else (".4g", "+.1%")
    return (
        metric["name"],
        format(metric["baseline"], number),
        format(metric["candidate"], number),
        "" if metric["ratio"] is None else format(metric["ratio"] - 1, change),
        "" if low is None or low == high else f"{low - 1:+.1%} to {high - 1:+.1%}",
        metric["verdict"],
    )
