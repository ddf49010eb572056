"""The gate: pairs of fresh processes, in random order, until it is decided or the budget is spent."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.statistics import PERCENTILES, samples_needed
from edgevid.benchmarks.harness.turns import measure_in_turns
from edgevid.benchmarks.regress.accuracy import NAME as ACCURACY
from edgevid.benchmarks.regress.energy import Energy
from edgevid.benchmarks.regress.metrics import ENERGY, INCONCLUSIVE, MEASURES, P99, facts, overall
from edgevid.benchmarks.regress.pairs import (
    Clock,
    Options,
    Pairs,
    Progress,
    Result,
    Show,
    decide_by_pairs,
    pairs_of_turns,
)
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError
from edgevid.host.probes import NullProbe

SAME_BUNDLE = ("streaming", "frames", "precision", "target")
SAME_RUN = ("scenario", "threads", "backend", "latency_includes")
SAME_ENVIRONMENT = ("device", "board", "power_mode", "os", "kernel", "python", "packages", "thread_variables")


Measure = Callable[..., list[Result]]


def compare(
    baseline: str | Path,
    candidate: str | Path,
    options: Options,
    show: Show = lambda progress: None,
    energy: Energy | None = None,
    measure: Measure = measure_in_turns,
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """The document of ``edgevid regress --json``.

    The processes of a pair take turns in an order that is drawn at random, so what the machine does in the
    meantime favors neither. Then pairs for the ``energy`` follow, in what is left of the budget. Raises
    ``BenchmarkError`` where the two cannot be compared.
    """
    bundles = comparable(baseline, candidate)
    paths, draw = [bundle.path for bundle in bundles], random.Random(options.seed)
    energy = energy or Energy(NullProbe("no power sensor was named"))
    first: Result = {}

    def same_run(results: list[Result]) -> list[Result]:
        if not first:
            first.update(results[0])
        for result in results:
            _require_same_run(first, result)
        return results

    def measure_pair() -> list[Result]:
        return same_run(measure(paths, options.process_s, options.threads, draw))

    def show_later(progress: Progress) -> None:
        show(dataclasses.replace(progress, elapsed_s=pairs.seconds + progress.elapsed_s))

    for path in paths:
        warm_up(path, options, measure)
    pairs = pairs_of_turns(options, [energy.metric(options.threshold)])
    decide_by_pairs(measure_pair, options.budget_s, pairs, show, clock)
    why = pairs.why_open(options.budget_s)
    if pairs.is_decided and not energy.why_not:
        rest_s = max(0.0, options.budget_s - pairs.seconds)
        energy.decide(same_run, paths, options.threads, draw, rest_s, pairs, show_later, clock)
        why = energy.why_not
    return _document(bundles, options, pairs, why, first, energy)


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
    return _document(
        comparable(baseline, candidate), options, pairs, why, {}, Energy(NullProbe("no pair counts"))
    )


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
    energy: Energy,
) -> dict[str, Any]:
    fixed, metrics = facts(*bundles, options.threshold), [*pairs.metrics, *pairs.besides]
    verdict = overall(metrics, fixed)
    records = {metric.measure.name: metric.record() for metric in metrics if metric.is_measured}
    if ENERGY.name in records:
        records[ENERGY.name] |= energy.record()
    return {
        "verdict": verdict,
        "threshold": options.threshold,
        "pairs": pairs.count,
        "discarded_pairs": pairs.discarded,
        "seconds": pairs.seconds + energy.pairs.seconds,
        "threads": first.get("threads"),
        "why": why if verdict == INCONCLUSIVE else "",
        "metrics": [*records.values(), *fixed],
        "not_measured": _not_measured(records, bool(pairs.count), energy),
        "baseline": identity(bundles[0]),
        "candidate": identity(bundles[1]),
        "environment": first.get("environment"),
    }


def _not_measured(records: Container[str], has_pairs: bool, energy: Energy) -> dict[str, str]:
    """Why there is no verdict on a metric, by its name."""
    reasons = dict.fromkeys((measure.name for measure in MEASURES), "no pair counts")
    if has_pairs:
        reasons[P99] = f"a process has fewer than the {samples_needed(PERCENTILES['p99'])} samples of a bound"
    reasons |= {
        ENERGY.name: energy.why_not or "the other pairs took the whole budget",
        ACCURACY: "pass --dataset DIR",
    }
    return {name: why for name, why in reasons.items() if name not in records}


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
