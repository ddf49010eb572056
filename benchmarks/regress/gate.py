"""The gate: pairs of fresh processes, in random order, until it is decided or the budget is spent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.regress.metrics import (
    INCONCLUSIVE,
    MEASURES,
    PairedMetric,
    decide,
    facts,
    overall,
)
from edgevid.benchmarks.regress.sequential import SignTest
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError
from edgevid.host.noise import OTHERS_LIMIT

PROCESS_S = 0.5
"""The time of the inferences of one process: the median needs some, and a pair more than that."""
SAME_BUNDLE = ("streaming", "frames", "precision", "target")
SAME_RUN = ("scenario", "threads", "backend", "latency_includes")
SAME_ENVIRONMENT = ("device", "board", "power_mode", "os", "kernel", "python", "packages", "thread_variables")


@dataclass(frozen=True)
class Options:
    """``threshold`` is the relative slow-down that must be caught; ``budget_s`` is for all pairs together."""

    threshold: float = 0.03
    budget_s: float = 120.0
    process_s: float = PROCESS_S
    threads: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Progress:
    """After a pair: how many there are, how many were discarded, the time, and the ratio of latencies."""

    pairs: int
    discarded: int
    elapsed_s: float
    ratio: float | None


Measure = Callable[..., dict[str, Any]]


def compare(
    baseline: str | Path,
    candidate: str | Path,
    options: Options,
    show: Callable[[Progress], None] = lambda progress: None,
    measure: Measure = measure,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The document of ``edgevid regress --json``.

    The order in a pair is drawn at random, so what the machine does in the long run favors neither. A pair
    during which other programs used more than a twentieth of a core, or the hypervisor took time, is
    discarded before its times are looked at. Raises ``BenchmarkError`` where the two cannot be compared.
    """
    bundles = Bundle.open(baseline), Bundle.open(candidate)
    before, after = (_of(bundle.manifest, SAME_BUNDLE) for bundle in bundles)
    _require_equal(before, after, "the bundles")
    sizes = _bytes(bundles[0]), _bytes(bundles[1])
    fixed = facts(bundles[0].manifest, bundles[1].manifest, sizes, options.threshold)
    metrics = [PairedMetric(item, SignTest(options.threshold)) for item in MEASURES]
    draw = random.Random(options.seed)
    start = clock()
    pairs = discarded = 0
    longest_s = 0.0
    first: dict[str, Any] | None = None
    while True:
        began = clock()
        order = [0, 1] if draw.random() < 0.5 else [1, 0]
        results: list[dict[str, Any]] = [{}, {}]
        for side in order:
            results[side] = measure(
                bundles[side].path, "single-stream", options.process_s, options.threads, power="none"
            )
        first = first or results[0]
        for result in results:
            _require_same_run(first, result)
        if any(map(is_disturbed, results)):
            discarded += 1
        else:
            pairs += 1
            for metric in metrics:
                metric.add(*results)
            decide(metrics)
        now = clock()
        longest_s = max(longest_s, now - began)
        show(Progress(pairs, discarded, now - start, metrics[0].test.ratio))
        done = pairs and all(
            metric.verdict != INCONCLUSIVE
            for metric in metrics
            if metric.measure.decides and metric.is_measured
        )
        if done or now - start + longest_s > options.budget_s:
            break
    verdict = overall(metrics, fixed)
    return {
        "verdict": verdict,
        "threshold": options.threshold,
        "pairs": pairs,
        "discarded_pairs": discarded,
        "seconds": clock() - start,
        "why": _why(verdict, pairs, discarded, options.budget_s),
        "metrics": [metric.record() for metric in metrics if metric.is_measured] + fixed,
        "baseline": _identity(bundles[0]),
        "candidate": _identity(bundles[1]),
        "environment": first["environment"],
    }


def is_disturbed(result: dict[str, Any]) -> bool:
    """Whether others used the cores meanwhile; what the system does not tell is no disturbance."""
    noise = result["environment"].get("during")
    return noise is not None and (noise["others_cores"] > OTHERS_LIMIT or noise["stolen_cores"] > 0)


def _why(verdict: str, pairs: int, discarded: int, budget_s: float) -> str:
    """The reason of an inconclusive verdict, with what to do; empty for the others."""
    if verdict != INCONCLUSIVE:
        return ""
    if discarded > pairs:
        return (
            f"other programs or the hypervisor used the cores in {discarded} of {pairs + discarded} pairs: "
            "stop them, or use a quieter machine"
        )
    return f"{pairs} pairs in {budget_s:g} s do not decide: raise --budget, or --threshold"


def _require_same_run(expected: dict[str, Any], result: dict[str, Any]) -> None:
    _require_equal(_of(expected, SAME_RUN), _of(result, SAME_RUN), "the measurements")
    before, after = expected["environment"], result["environment"]
    _require_equal(_of(before, SAME_ENVIRONMENT), _of(after, SAME_ENVIRONMENT), "the machine")
    governor = before["cpu"]["governor"], after["cpu"]["governor"]
    _require_equal({"governor": governor[0]}, {"governor": governor[1]}, "the machine")


def _require_equal(before: dict[str, Any], after: dict[str, Any], what: str) -> None:
    for key, value in before.items():
        if value != after[key]:
            name = key.replace("_", " ")
            raise BenchmarkError(
                f"{what} differ in {name} ({value} and {after[key]}), so their times cannot be compared: "
                "export or measure both alike"
            )


def _of(record: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(record, dict):
        return {key: record.get(key) for key in keys}
    return {key: getattr(record, key) for key in keys}


def _bytes(bundle: Bundle) -> int:
    return sum((bundle.path / name).stat().st_size for name in bundle.manifest.files)


def _identity(bundle: Bundle) -> dict[str, Any]:
    return {"bundle": str(bundle.path), "bundle_sha256": bundle.sha256, "model": bundle.manifest.model}
