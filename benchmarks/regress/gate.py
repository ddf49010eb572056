"""The gate: pairs of fresh processes, in random order, until it is decided or the budget is spent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.turns import measure_in_turns
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
    threads: int = 1
    seed: int | None = None


@dataclass(frozen=True)
class Progress:
    """After a pair: how many there are, how many were discarded, the time, and the ratio of latencies."""

    pairs: int
    discarded: int
    elapsed_s: float
    ratio: float | None


Result = dict[str, Any]
Measure = Callable[..., list[Result]]


@dataclass
class Pairs:
    """What the pairs so far say of each metric; the times of ``discarded`` ones were not looked at."""

    metrics: list[PairedMetric]
    count: int = 0
    discarded: int = 0
    seconds: float = 0.0

    @property
    def is_decided(self) -> bool:
        deciding = [metric for metric in self.metrics if metric.measure.decides and metric.is_measured]
        return bool(self.count) and all(metric.verdict != INCONCLUSIVE for metric in deciding)


def compare(
    baseline: str | Path,
    candidate: str | Path,
    options: Options,
    show: Callable[[Progress], None] = lambda progress: None,
    measure: Measure = measure_in_turns,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The document of ``edgevid regress --json``.

    The processes of a pair take turns in an order that is drawn at random, so what the machine does in the
    meantime favors neither. Raises ``BenchmarkError`` where the two cannot be compared.
    """
    bundles = comparable(baseline, candidate)
    draw = random.Random(options.seed)
    first: Result = {}

    def measure_pair() -> list[Result]:
        paths = [bundle.path for bundle in bundles]
        results = measure(paths, options.process_s, options.threads, draw)
        if not first:
            first.update(results[0])
        for result in results:
            _require_same_run(first, result)
        return results

    for bundle in bundles:
        warm_up(bundle.path, options, measure)
    pairs = decide_by_pairs(measure_pair, options, show, clock)
    why = _why(pairs.count, pairs.discarded, options.budget_s)
    return _document(bundles, options, pairs, why, first)


def warm_up(bundle: Path, options: Options, measure: Measure) -> None:
    """Compile the kernels and fill the caches, which would cost the pairs their budget."""
    measure([bundle], 0.0, options.threads, random.Random(0))


def compare_without_pairs(
    baseline: str | Path, candidate: str | Path, options: Options, why: str
) -> dict[str, Any]:
    """The document of a comparison that could not measure within its budget, ``why`` with what to do.

    It is inconclusive unless size or parity alone are a regression.
    """
    pairs = Pairs([], seconds=options.budget_s)
    return _document(comparable(baseline, candidate), options, pairs, why, {})


def decide_by_pairs(
    measure_pair: Callable[[], list[Result]],
    options: Options,
    show: Callable[[Progress], None] = lambda progress: None,
    clock: Callable[[], float] = time.monotonic,
) -> Pairs:
    """Ask for pairs, results of the baseline and the candidate, until they decide or the budget is spent.

    A pair during which other programs, or the hypervisor, used more than a twentieth of the cores that it
    ran on is discarded before its times are looked at.
    """
    pairs = Pairs([PairedMetric(item, SignTest(options.threshold)) for item in MEASURES])
    start = now = clock()
    longest_s = 0.0
    while not pairs.is_decided and now - start + longest_s <= options.budget_s:
        results = measure_pair()
        if any(map(is_disturbed, results)):
            pairs.discarded += 1
        else:
            pairs.count += 1
            for metric in pairs.metrics:
                metric.add(*results)
            decide(pairs.metrics)
        longest_s = max(longest_s, clock() - now)
        now = clock()
        pairs.seconds = now - start
        show(Progress(pairs.count, pairs.discarded, pairs.seconds, pairs.metrics[0].test.ratio))
    return pairs


def is_disturbed(result: dict[str, Any]) -> bool:
    """Whether others used the cores meanwhile; what the system does not tell is no disturbance."""
    noise = result["environment"].get("during")
    return noise is not None and max(noise["others_here_cores"], noise["stolen_cores"]) > OTHERS_LIMIT


def comparable(baseline: str | Path, candidate: str | Path) -> tuple[Bundle, Bundle]:
    """Raises ``BenchmarkError`` where they differ in more than a commit may change."""
    bundles = Bundle.open(baseline), Bundle.open(candidate)
    before, after = (_of(bundle.manifest, SAME_BUNDLE) for bundle in bundles)
    _require_equal(before, after, "the bundles")
    return bundles


def _document(
    bundles: tuple[Bundle, Bundle],
    options: Options,
    pairs: Pairs,
    why: str,
    first: Result,
) -> dict[str, Any]:
    fixed = facts(*bundles, options.threshold)
    verdict = overall(pairs.metrics, fixed)
    return {
        "verdict": verdict,
        "threshold": options.threshold,
        "pairs": pairs.count,
        "discarded_pairs": pairs.discarded,
        "seconds": pairs.seconds,
        "threads": first.get("threads"),
        "why": why if verdict == INCONCLUSIVE else "",
        "metrics": [metric.record() for metric in pairs.metrics if metric.is_measured] + fixed,
        "baseline": identity(bundles[0]),
        "candidate": identity(bundles[1]),
        "environment": first.get("environment"),
    }


def _why(pairs: int, discarded: int, budget_s: float) -> str:
    """Why these pairs do not decide, with what to do."""
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


def identity(bundle: Bundle) -> dict[str, Any]:
    return {"bundle": str(bundle.path), "bundle_sha256": bundle.sha256, "model": bundle.manifest.model}
