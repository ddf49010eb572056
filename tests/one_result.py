"""A result of ``edgevid bench --json``, whose values all follow from one number."""

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
