"""A result of ``edgevid bench --json`` and a verdict for the store; their values follow from one number."""

from __future__ import annotations

import random
import uuid
from typing import Any


def result(number: int, samples: int = 200, **changes: Any) -> dict[str, Any]:
    chance = random.Random(number)
    samples_ms = [chance.randrange(20_000_000, 21_000_000) / 1e6 for _ in range(samples)]
    return {
        "measurement_id": str(uuid.UUID(int=number)),
        "model": "tsm_mbv2",
        "target": "cpu",
        "backend": "onnxruntime",
        "precision": "fp32",
        "scenario": "single-stream",
        "threads": 2,
        "latency_ms": {"mean": 20.5, "p50": sorted(samples_ms)[samples // 2], "p90": 20.9, "p99": 21},
        "throughput": {"clips_per_s": 48.78, "frames_per_s": 390.2},
        "memory_mib": {"peak": 123.4, "weights": 9.5},
        "streaming": False,
        "power_w": None,
        "energy_mj_per_clip": None,
        "why_no_power": "no sensor was found",
        "weights": {"source": "seed 0", "random": True},
        "warnings": ["the samples spread widely"],
        "bundle_sha256": f"{number:064x}",
        "environment": {
            "device": "a simulated CPU",
            "date_utc": f"2026-11-{1 + number % 28:02}T10:00:00+00:00",
            "edgevid": {"version": "0.1.0", "commit": "0123abc"},
        },
        "samples_ms": samples_ms,
        "warmup_ms": [chance.random() for _ in range(20)],
        **changes,
    }


def verdict(number: int, ratio: float = 1.0, **changes: Any) -> dict[str, Any]:
    """Of commit ``number``, whose latency is ``ratio`` times that of the reference."""
    chance = random.Random(number)
    pairs = [ratio * chance.uniform(0.99, 1.01) for _ in range(16)]
    return {
        "verdict_id": str(uuid.UUID(int=number)),
        "model": "tsm_mbv2",
        "threads": 2,
        "reference_sha256": "a" * 64,
        "candidate_sha256": f"{number:064x}",
        "candidate_commit": f"{number:03}{'c' * 37}",
        "verdict": "pass",
        "why": "",
        "threshold": 0.03,
        "environment": {
            "device": "a simulated CPU",
            "kernel": "6.1",
            "date_utc": f"2026-{1 + number // 28:02}-{1 + number % 28:02}T10:00:00+00:00",
        },
        "metrics": {
            "bundle_size_mib": {
                "ratio": 1.0, "interval": [1.0, 1.0], "candidate": 9.5, "verdict": "pass", "pairs": []
            },
            "latency_p50_ms": {
                "ratio": sorted(pairs)[8], "interval": [None, None], "candidate": 20.0 * ratio,
                "verdict": "pass", "pairs": pairs,
            },
        },
        **changes,
    }  # fmt: skip
