"""Budgets: what a network may take on a device, as ``latency=30ms``, ``memory=200MiB`` or ``energy=5mJ``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.errors import BenchmarkError

UNITS = {
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3},
    "memory": {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0},
    "energy": {"uJ": 1e-3, "mJ": 1.0, "J": 1e3},
}
"""Factors to milliseconds, MiB and millijoules; a longer unit is before a shorter one that ends alike."""
KEYS = {"latency": "latency_ms", "memory": "memory_mib", "energy": "energy_mj"}
EXAMPLES = "latency=30ms, memory=200MiB or energy=5mJ"


@dataclass(frozen=True)
class Budget:
    """At most ``limit`` of ``kind``: milliseconds of an inference, MiB, or millijoules of a clip."""

    kind: str
    limit: float

    def __str__(self) -> str:
        return KEYS[self.kind]

    def share(self, point: dict[str, Any]) -> float:
        """How much of the budget a point takes; ``BenchmarkError`` if that cannot be measured there."""
        value = amounts(point)[KEYS[self.kind]]
        if value is None:
            why = point["why_no_power"] if self.kind == "energy" else "the device does not report it"
            raise BenchmarkError(f"{self.kind} cannot be measured ({why}): choose another --budget")
        return value / self.limit


def amounts(point: dict[str, Any]) -> dict[str, float | None]:
    """What a point gives and takes: accuracy from 0 to 1, latency, peak memory, and energy per clip."""
    return {
        "top1": point["accuracy"] and point["accuracy"]["top1"],
        "latency_ms": point["latency_ms"]["p50"],
        "memory_mib": point["memory_mib"]["peak"],
        "energy_mj": point["energy_mj_per_clip"],
    }


def parse(text: str) -> Budget:
    """``latency=30ms`` and the like; ``BenchmarkError`` for anything else."""
    kind, _, value = text.partition("=")
    for unit, factor in UNITS.get(kind, {}).items():
        number = value.removesuffix(unit)
        with contextlib.suppress(ValueError):
            limit = float(number) * factor
            if number != value and 0 < limit < math.inf:
                return Budget(kind, limit)
    raise BenchmarkError(f"--budget '{text}' is no budget: use {EXAMPLES}")


def load(point: dict[str, Any], budgets: Sequence[Budget]) -> float:
    """The largest share of all budgets; a point up to 1 is within them."""
    return max(budget.share(point) for budget in budgets)
