"""The points of a comparison: one bundle's speed and accuracy, and which of them are on the Pareto front."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgevid.benchmarks.compare.rounds import estimate, undisturbed
from edgevid.benchmarks.regress.pairs import is_disturbed
from edgevid.specs import Manifest

VARYING = ("model", "target", "backend", "precision", "frames", "size")


def point_of(
    bundle: str, manifest: Manifest, results: Sequence[dict[str, Any]], source: str
) -> dict[str, Any]:
    """A point without its accuracy; ``source`` says where the ``results`` are from.

    ``latency_ms`` is the median over processes of their medians, with its interval, and ``processes`` has
    every sample. A latency of a streaming bundle is that of a frame. ``bundle`` is its folder.
    """
    used = undisturbed(results)
    latency = estimate([result["latency_ms"]["p50"] for result in used])
    last = results[-1]
    return {
        "model": manifest.model,
        "target": manifest.target,
        "backend": manifest.backend,
        "precision": manifest.precision,
        "frames": manifest.frames,
        "size": manifest.inputs[0].shape[-1],
        "streaming": manifest.streaming,
        "pareto": False,
        "accuracy": None,
        "latency_ms": {
            "p50": latency.median,
            "interval": list(latency.interval),
            "confidence": latency.confidence,
            "per": "frame" if manifest.streaming else "clip",
        },
        "latency_includes": last["latency_includes"],
        "throughput": {"clips_per_s": _median(result["throughput"]["clips_per_s"] for result in used)},
        "memory_mib": {"peak": _median(result["memory_mib"]["peak"] for result in used)},
        "energy_mj_per_clip": _median(result["energy_mj_per_clip"] for result in used),
        "why_no_power": last.get("why_no_power"),
        "ran_on": {
            "backend": last["backend"],
            "device": last["environment"]["device"],
            "threads": last["threads"],
        },
        "source": source,
        "disturbed_processes": sum(map(is_disturbed, results)),
        "random_weights": last["weights"]["random"],
        "bundle": bundle,
        "bundle_sha256": last["bundle_sha256"],
        "processes": [
            {"p50": result["latency_ms"]["p50"], "samples_ms": result["samples_ms"]} for result in results
        ],
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def mark_pareto(points: Sequence[dict[str, Any]]) -> None:
    """Set ``pareto`` where no comparable point is both faster and at least as accurate, or the reverse."""
    for point in points:
        rivals = [other for other in points if comparable(point, other)]
        point["pareto"] = bool(rivals) and not any(_dominates(rival, point) for rival in rivals)


def comparable(point: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both accuracies are of one kind and data set, and both times of one thing on one device."""
    return _group(point) == _group(other) and point["accuracy"]["top1"] is not None


def _group(point: dict[str, Any]) -> tuple[Any, ...]:
    accuracy = point["accuracy"]
    return (accuracy["kind"], accuracy["dataset"], point["latency_ms"]["per"], point["ran_on"]["device"])


def fronts(points: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The Pareto fronts, fastest point first: one for each group of comparable points."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for point in points:
        if point["pareto"]:
            groups.setdefault(_group(point), []).append(point)
    return [sorted(group, key=lambda point: point["latency_ms"]["p50"]) for group in groups.values()]


def _dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    pairs = (
        (one["accuracy"]["top1"], other["accuracy"]["top1"]),
        (-one["latency_ms"]["p50"], -other["latency_ms"]["p50"]),
    )
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def labels(points: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each point, from what differs between them."""
    varying = [key for key in VARYING if len({point[key] for point in points}) > 1] or ["model"]
    words = {"frames": "{} frames", "size": "{} px"}
    names = [" ".join(words.get(key, "{}").format(point[key]) for key in varying) for point in points]
    folders = [Path(point["bundle"]).name for point in points]
    return [f"{name} ({folder})" if names.count(name) > 1 else name for name, folder in zip(names, folders)]
