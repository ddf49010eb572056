"""Results from a store, for bundles that were measured before on this device and in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.regress.gate import SAME_ENVIRONMENT

SCENARIO = "single-stream"
"""Whose samples are latencies of one inference, as the compared ones must be."""


@dataclass(frozen=True)
class Found:
    """The stored ``results`` of a bundle that may be used, or the reason ``why_not``."""

    results: Sequence[dict[str, Any]]
    why_not: str = ""


def usable(
    stored: Iterable[dict[str, Any]], environment: dict[str, Any], threads: int | None, newest: int
) -> Found:
    """The ``newest`` of a bundle's stored results that agree with ``environment``, this device now."""
    agreeing, why_not = [], "the store does not have it"
    for result in stored:
        if reason := difference(result, environment, threads):
            why_not = f"its result in the store differs in {reason}"
        else:
            agreeing.append(result)
    return Found(agreeing[-newest:], "" if agreeing else why_not)


def difference(result: dict[str, Any], environment: dict[str, Any], threads: int | None) -> str:
    """What keeps a stored result from being compared with one of now, in words; empty if nothing does."""
    if result["scenario"] != SCENARIO:
        return f"what a latency is ({result['scenario']}, now {SCENARIO})"
    if threads is not None and result["threads"] != threads:
        return f"threads ({result['threads']}, now {threads})"
    before, now = _identity(result["environment"]), _identity(environment)
    for key, value in before.items():
        if value != now[key]:
            return f"{key.replace('_', ' ')} ({_brief(value, now[key])}, now {_brief(now[key], value)})"
    return ""


def _identity(environment: dict[str, Any]) -> dict[str, Any]:
    """What must be the same for two times to be comparable."""
    values = {key: environment.get(key) for key in (*SAME_ENVIRONMENT, "edgevid")}
    return values | {"governor": (environment.get("cpu") or {}).get("governor")}


def _brief(value: Any, other: Any) -> str:
    """A value, or of a table only the entries that differ from the ``other``."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return str(value)
    return ", ".join(f"{key} {item}" for key, item in value.items() if other.get(key) != item) or "nothing"
