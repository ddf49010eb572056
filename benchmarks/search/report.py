"""The proposal of a search for people: what fits best, the steps beside it, and what was measured for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from edgevid.benchmarks.compare.table import accuracy_text, table

UNITS = {"latency_ms": "ms", "memory_mib": "MiB", "energy_mj": "mJ"}


def report(document: dict[str, Any]) -> str:
    """The table of what was measured, what was skipped and why, and the answer at the end."""
    lines = [table(document)]
    skipped: dict[str, list[str]] = defaultdict(list)
    for item in document["skipped"]:
        skipped[item["why"]].append(f"{item['model']} {item['precision']} {item['frames']}x{item['size']}")
    lines += [f"not measured: {', '.join(names)}: {why}" for why, names in skipped.items()]
    return "\n".join([*lines, "", *_answer(document)])


def _answer(document: dict[str, Any]) -> Iterable[str]:
    budget = " and ".join(f"{limit:g} {UNITS[name]}" for name, limit in document["budget"].items())
    best, up, down = document["best"], document["step_up"], document["step_down"]
    if best is None:
        nearest = (
            f": the nearest is {_name(up['point'])}, with {up['load']:.3g} times the budget" if up else ""
        )
        yield f"nothing is within {budget}{nearest}"
        return
    yield f"within {budget}: {_name(best)}"
    yield f"one step up: {_step(up)}" if up else "one step up: none, it is the most accurate"
    yield f"one step down: {_step(down)}" if down else "one step down: none, it is the fastest"


def _name(point: dict[str, Any]) -> str:
    facts = f"{point['model']} {point['precision']}, {point['frames']} frames of {point['size']} pixels"
    return f"{facts}: top-1 {accuracy_text(point['accuracy'])} %, {point['latency_ms']['p50']:.4g} ms"


def _step(step: dict[str, Any]) -> str:
    more = step["more"]
    parts = [f"{100 * more['top1']:+.3g} points"]
    parts += [f"{more[name]:+.3g} {unit}" for name, unit in UNITS.items() if more[name] is not None]
    return f"{_name(step['point'])} ({', '.join(parts)})"
