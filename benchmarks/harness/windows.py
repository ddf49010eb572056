"""Energy of workers side by side: one window of a second or more for each, as power sensors are slow."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.power import power_fields
from edgevid.benchmarks.harness.turns import results_of, sides
from edgevid.host.probes import Probe, observe


def measure_windows(
    bundles: Sequence[str | Path],
    window_s: float,
    threads: int | None,
    draw: random.Random,
    probe: Probe,
    workers: Sequence[Sequence[str] | None] | None = None,
) -> list[dict[str, Any]]:
    """Measure bundles in fresh processes, each in one window of ``window_s``, in an order from ``draw``.

    ``probe`` reads the idle power once, while all processes wait: a wrong one would meet all of them.
    Returns a result for each bundle, with the fields about power. ``workers`` and errors are those of
    ``turns.sides``.
    """
    with sides(bundles, threads, workers) as taking_turns:
        order = draw.sample(range(len(bundles)), len(bundles))
        powers = observe(probe, [functools.partial(taking_turns[index].turn, window_s) for index in order])
        results = results_of(taking_turns)
    for index, power in zip(order, powers):
        results[index] |= _power_of(results[index], power)
    return results


def _power_of(result: dict[str, Any], power: Any) -> dict[str, Any]:
    seconds, speed = result["duration_s"], result["throughput"]
    timed = len(result["samples_ms"])
    all_runs = seconds * (timed + 1) / timed  # a turn begins with an inference that is not timed
    fields = power_fields(power, speed["clips_per_s"] * all_runs, speed["frames_per_s"] * all_runs, seconds)
    return {**fields, "warnings": [*result["warnings"], *power.get("warnings", [])]}
