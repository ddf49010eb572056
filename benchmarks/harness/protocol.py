"""The protocol between the worker and its parent: one JSON object per line.

The parent writes one ``Request`` to the worker's standard input. The worker replies with events:
``{"event": "progress", "phase", "elapsed_s", "total_s", "p50_ms"}`` any number of times, then either
``{"event": "result", "result": {...}}`` or ``{"event": "error", "kind": "BundleError", "message": "..."}``.

A worker that measures in turns (``turns.py``) also sends ``{"event": "turn", "seconds"}`` when it is ready
and after each turn. It reads a line with "begin" and one with the seconds of each turn, until its input ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edgevid import errors
from edgevid.specs import LOCAL


@dataclass(frozen=True)
class Settings:
    """The options of single scenarios.

    ``streams``: clips or cameras at once (multi-stream, camera). ``latency_bound_ms``: the server's bound on
    the p99. ``video``, ``fps`` and ``deadline_ms``: what the cameras show, at which rate, and when an answer
    is too late. ``seed``: of the server's arrivals. None is the scenario's own choice.
    """

    streams: int | None = None
    latency_bound_ms: float | None = None
    video: str | None = None
    fps: float | None = None
    deadline_ms: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """One measurement; ``threads`` None is the backend's default, ``device`` "local" or a board's address.

    ``pinned``: whether the process is pinned to as many cores as it has threads. ``power``: what to measure
    power with, as ``probes.power_probe`` takes it. ``profile``: whether the result says where the time goes.
    ``in_turns``: whether the parent says when to run, in place of ``duration_s``.
    """

    bundle: str
    scenario: str
    duration_s: float
    threads: int | None
    device: str = LOCAL
    settings: Settings = field(default_factory=Settings)
    pinned: bool = True
    power: str | None = None
    profile: bool = False
    in_turns: bool = False

    @classmethod
    def from_json(cls, line: str) -> Request:
        fields = json.loads(line)
        return cls(**{**fields, "settings": Settings(**fields.get("settings", {}))})


@dataclass(frozen=True)
class Progress:
    """The worker's current phase; ``total_s`` and ``p50_ms`` are None until they are known."""

    phase: str
    elapsed_s: float = 0.0
    total_s: float | None = None
    p50_ms: float | None = None


def error_event(error: Exception) -> dict[str, Any]:
    """The event that the worker sends instead of a result."""
    return {"event": "error", "kind": type(error).__name__, "message": str(error)}


def error_from(event: dict[str, Any]) -> errors.EdgevidError:
    """The worker's exception; a ``BenchmarkError`` if its class is not one of edgevid's."""
    kind = getattr(errors, event["kind"], None)
    if isinstance(kind, type) and issubclass(kind, errors.EdgevidError):
        return kind(event["message"])
    return errors.BenchmarkError(event["message"])
