"""The metrics of the gate: those that pairs of processes measure, and those that are facts of a bundle."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevid.benchmarks.harness.turns import turn_ratios
from edgevid.benchmarks.regress.sequential import ALPHA, SignTest, holm
from edgevid.bundle.bundle import Bundle
from edgevid.host.memory import MIB

Result = dict[str, Any]
P99 = "latency_p99_ms"
REGRESSION, PASS, IMPROVEMENT, INCONCLUSIVE = "regression", "pass", "improvement", "inconclusive"


@dataclass(frozen=True)
class Measure:
    """A number of one result of ``edgevid bench``; ``inverted``: larger is better.

    ``decides``: while it is inconclusive, so is the gate. The mean of a process, and so its throughput,
    varies many times as much as its median. ``ratio`` of a pair of results is by default that of the numbers.
    ``uncertainty`` reads that of the number, where it has one.
    """

    name: str
    read: Callable[[Result], float | None]
    inverted: bool = False
    decides: bool = True
    ratio: Callable[[Result, Result], float] | None = None
    uncertainty: Callable[[Result], float] | None = None


MEASURES = (
    Measure(
        "latency_p50_ms",
        lambda result: result["latency_ms"]["p50"],
        ratio=lambda *pair: statistics.median(turn_ratios(*pair)),
    ),
    Measure("memory_peak_mib", lambda result: result["memory_mib"]["peak"]),
    Measure(
        "throughput_clips_per_s",
        lambda result: result["throughput"]["clips_per_s"],
        inverted=True,
        decides=False,
    ),
    Measure(
        P99,  # where the samples are enough for a bound
        lambda result: result["latency_ms"]["p99"] if result["latency_bounds_ms"]["p99"] else None,
        decides=False,
    ),
)


def above_uncertainty(result: Result) -> float | None:
    """The energy of an inference; None where there is none, or it may as well be none."""
    energy, uncertainty = result["energy_mj_per_clip"], result["energy_mj_per_clip_uncertainty"]
    return None if energy is None or energy <= (uncertainty or 0.0) else energy


ENERGY = Measure(
    "energy_mj_per_clip",
    above_uncertainty,
    decides=False,
    uncertainty=lambda result: result["energy_mj_per_clip_uncertainty"] or 0.0,
)
"""In rounds of its own (``energy``)."""

SIDES = ("baseline", "candidate")
FACTS = ("bundle_size_mib", "parity_max_rel")
"""What needs no run."""


@dataclass
class PairedMetric:
    """A measure of both bundles in each pair so far, and its verdict, which is kept once it is reached.

    ``is_expected``: it will be measured, so that it counts before its first pair.
    """

    measure: Measure
    test: SignTest
    baseline: list[float] = field(default_factory=list)
    candidate: list[float] = field(default_factory=list)
    verdict: str = INCONCLUSIVE
    best_e_slower: float = 1.0
    is_expected: bool = False
    uncertainties: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add(self, baseline: Result, candidate: Result) -> None:
        """A pair of results; one that lacks the number, or has none above zero, does not count."""
        before, after = self.measure.read(baseline), self.measure.read(candidate)
        if before is None or after is None or min(before, after) <= 0:
            return
        self.baseline.append(before)
        self.candidate.append(after)
        if self.measure.uncertainty is not None:
            for values, result in zip(self.uncertainties, (baseline, candidate)):
                values.append(self.measure.uncertainty(result))
        if self.measure.ratio is not None:
            self.test.add(self.measure.ratio(baseline, candidate))
        else:
            self.test.add(before / after if self.measure.inverted else after / before)
        self.best_e_slower = max(self.best_e_slower, self.test.e_slower)

    @property
    def is_measured(self) -> bool:
        return bool(self.baseline)

    @property
    def counts(self) -> bool:
        return self.is_measured or self.is_expected

    def record(self) -> dict[str, Any]:
        """The metric by the keys of ``edgevid regress --json``; a ``ratio`` above 1 is worse."""
        interval = self.test.interval()
        record = {
            "name": self.measure.name,
            "baseline": _median(self.baseline),
            "candidate": _median(self.candidate),
            "ratio": self.test.ratio,
            "interval": list(interval) if interval else [None, None],
            "verdict": self.verdict,
            "smallest_effect": self.test.smallest_effect(),
            "samples": {"baseline": self.baseline, "candidate": self.candidate},
            "pair_ratios": [math.exp(value) for value in self.test.log_ratios],
        }
        if self.measure.uncertainty is not None:
            record["uncertainty"] = dict(zip(SIDES, self.uncertainties))
        return record


def paired(measure: Measure, threshold: float, is_expected: bool = False) -> PairedMetric:
    return PairedMetric(measure, SignTest(threshold), is_expected=is_expected)


def decide(metrics: list[PairedMetric], others: int = 0) -> None:
    """Set the verdicts that the pairs allow; regressions with Holm's correction over them and ``others``."""
    family = [metric for metric in metrics if metric.counts]
    worse = holm([metric.best_e_slower for metric in family], others)
    for metric, is_worse in zip(family, worse):
        if metric.verdict in (INCONCLUSIVE, PASS) and metric.test.e_faster >= 1 / ALPHA:
            metric.verdict = IMPROVEMENT
        elif metric.verdict == INCONCLUSIVE and is_worse:
            metric.verdict = REGRESSION
        elif metric.verdict == INCONCLUSIVE and metric.test.e_within >= 1 / ALPHA:
            metric.verdict = PASS


def facts(baseline: Bundle, candidate: Bundle, threshold: float) -> list[dict[str, Any]]:
    """The metrics that need no run; a bundle that grows by more than ``threshold`` is a regression."""
    tolerance = candidate.manifest.parity.tolerance
    return facts_between(values_of(baseline), values_of(candidate), tolerance, threshold)


def values_of(bundle: Bundle) -> dict[str, float]:
    """What a bundle says of itself: its size, and its distance to PyTorch."""
    size = sum((bundle.path / name).stat().st_size for name in bundle.manifest.files)
    return dict(zip(FACTS, (size / MIB, bundle.manifest.parity.max_rel)))


def facts_between(
    baseline: Mapping[str, float], candidate: Mapping[str, float], tolerance: float, threshold: float
) -> list[dict[str, Any]]:
    """The metrics of ``values_of`` two bundles; the candidate's parity must be within its ``tolerance``."""
    (before, error_before), (after, error) = (
        tuple(values[name] for name in FACTS) for values in (baseline, candidate)
    )
    return [
        growth(FACTS[0], before, after, threshold),
        _fact(FACTS[1], error_before, error, None, PASS if error <= tolerance else REGRESSION),
    ]


def growth(name: str, before: float, after: float, threshold: float) -> dict[str, Any]:
    """An exact metric, above zero, which may grow by the ``threshold``."""
    verdict = REGRESSION if after > before * (1 + threshold) else PASS
    if after < before / (1 + threshold):
        verdict = IMPROVEMENT
    return _fact(name, before, after, after / before, verdict)


def _fact(name: str, baseline: float, candidate: float, ratio: float | None, verdict: str) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": baseline,
        "candidate": candidate,
        "ratio": ratio,
        "interval": [ratio, ratio],
        "verdict": verdict,
        "smallest_effect": 0.0,
    }


def overall(metrics: list[PairedMetric], fixed: list[dict[str, Any]]) -> str:
    """A regression of any metric is one; then a metric that decides and is inconclusive makes all so."""
    verdicts = [metric.verdict for metric in metrics if metric.is_measured] + [
        fact["verdict"] for fact in fixed
    ]
    if REGRESSION in verdicts:
        return REGRESSION
    deciding = [metric for metric in metrics if metric.measure.decides]
    if not deciding or any(metric.verdict == INCONCLUSIVE for metric in deciding):
        return INCONCLUSIVE
    return IMPROVEMENT if deciding[0].verdict == IMPROVEMENT else PASS


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
