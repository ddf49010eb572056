"""Points of ``edgevid compare`` and results of ``edgevid bench``, as if they had been measured."""

from __future__ import annotations

from typing import Any

from edgevid.benchmarks.compare.accuracy import of_published
from edgevid.benchmarks.compare.points import mark_pareto

DISTURBED = {"others_here_cores": 1.0, "stolen_cores": 0.0}
ENVIRONMENT = {
    "device": "a simulated CPU", "board": None, "power_mode": None, "os": "Debian", "kernel": "6.1",
    "python": "3.11", "packages": {"onnxruntime": "1.32"}, "thread_variables": {}, "cpu": {"governor": None},
    "edgevid": {"version": "0.1.0", "commit": "0123abc", "changed": False},
    "during": {"others_here_cores": 0.0, "stolen_cores": 0.0},
}  # fmt: skip


def process(p50: float, **changes: Any) -> dict[str, Any]:
    """A result of one process."""
    return {
        "backend": "onnxruntime", "threads": 2, "scenario": "single-stream",
        "latency_ms": {"p50": p50}, "latency_includes": ["inference"],
        "throughput": {"clips_per_s": 1000 / p50}, "memory_mib": {"peak": 100.0},
        "energy_mj_per_clip": None, "why_no_power": "no sensor was found",
        "weights": {"source": "seed 0", "random": True}, "bundle_sha256": "0" * 64,
        "samples_ms": [p50 * (1 + 0.001 * i) for i in range(-5, 6)],
        "environment": ENVIRONMENT, **changes,
    }  # fmt: skip


def point(
    model: str, ms: float, top1: float | None, kind: str | None = "measured", **changes: Any
) -> dict[str, Any]:
    """A point at ``ms`` with an accuracy from 0 to 1."""
    accuracy = of_published(None)
    if top1 is not None:
        interval = [top1 - 0.01, top1 + 0.01] if kind == "measured" else None
        accuracy = {
            "top1": top1, "interval": interval, "kind": kind, "protocol": "8 frames, 1 crop",
            "dataset": "digits", "source": "measured here" if kind == "measured" else "a README",
            "remarks": [],
        }  # fmt: skip
    return {
        "model": model, "target": "cpu", "backend": "onnxruntime", "precision": "fp32", "frames": 8,
        "size": 224, "streaming": False, "pareto": False, "accuracy": accuracy,
        "latency_ms": {"p50": ms, "interval": [ms * 0.97, ms * 1.04], "confidence": 0.97, "per": "clip"},
        "latency_includes": ["inference"], "throughput": {"clips_per_s": 1000 / ms},
        "memory_mib": {"peak": 80.0}, "energy_mj_per_clip": None, "why_no_power": "no sensor was found",
        "ran_on": {"backend": "onnxruntime", "device": "a simulated CPU", "threads": 2},
        "source": "measured", "disturbed_processes": 0, "random_weights": False, "bundle": f"{model}.cpu",
        "bundle_sha256": "0" * 64, "processes": [{"p50": ms, "samples_ms": [ms, ms * 1.01, ms * 0.99]}] * 6,
        **changes,
    }  # fmt: skip


def document(*points: dict[str, Any], **changes: Any) -> dict[str, Any]:
    mark_pareto(points)
    return {"points": list(points), "failures": [], "notes": [], "rounds": 6, "seconds": 1.0, **changes}
