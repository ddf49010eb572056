"""Documents of the gate in the shape of ``edgevid regress --json``, for what is made of them."""

from __future__ import annotations

import pytest


@pytest.fixture
def document():
    """``document("regression", slower=1.1, pairs=12)``: its latency regressed by 10 %."""

    def make(verdict: str, slower: float = 1.0, pairs: int = 12, model: str = "my_network") -> dict:
        before = [10 + 0.01 * (number % 5) for number in range(pairs)]
        after = [value * slower for value in before]
        latency = {
            "name": "latency_p50_ms", "baseline": 10.0, "candidate": 10.0 * slower, "ratio": slower,
            "interval": [slower - 0.01, slower + 0.01], "verdict": verdict, "smallest_effect": 0.02,
            "samples": {"baseline": before, "candidate": after},
            "pair_ratios": [new / old for old, new in zip(before, after)],
        }  # fmt: skip
        size = {
            "name": "bundle_size_mib", "baseline": 1.0, "candidate": 1.0, "ratio": 1.0,
            "interval": [1.0, 1.0], "verdict": "pass", "smallest_effect": 0.0,
        }  # fmt: skip
        return {
            "verdict": verdict, "threshold": 0.03, "pairs": pairs, "discarded_pairs": 3, "seconds": 31.5,
            "why": "30 pairs in 60 s do not decide: raise --budget" if verdict == "inconclusive" else "",
            "metrics": [latency, size] if pairs else [size],
            "baseline": {"bundle": "old", "bundle_sha256": "a" * 64, "model": model},
            "candidate": {"bundle": "new", "bundle_sha256": "b" * 64, "model": model},
            "environment": {},
        }  # fmt: skip

    return make
