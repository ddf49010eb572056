"""Pairs of results, until their metrics are decided or the budget is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevid.benchmarks.regress.metrics import INCONCLUSIVE, MEASURES, PairedMetric, decide, paired
from edgevid.host.noise import OTHERS_LIMIT

PROCESS_S = 0.5
"""The time of the inferences of one process: the median needs some, and a pair more than that."""

Result = dict[str, Any]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Options:
    """``threshold`` is the relative slow-down that must be caught; ``budget_s`` is for all pairs together.

    ``others`` counts the tests that join those of the pairs, such as that of the accuracy.
    """

    threshold: float = 0.03
    budget_s: float = 120.0
    process_s: float = PROCESS_S
    threads: int = 1
    seed: int | None = None
    others: int = 0


@dataclass(frozen=True)
class Progress:
    """After a pair: how many there are, how many were discarded, the time, and the ratio of the metric."""

    pairs: int
    discarded: int
    elapsed_s: float
    ratio: float | None
    metric: str = "latency"


Show = Callable[[Progress], None]


@dataclass
class Pairs:
    """What the pairs so far say of each metric; the times of ``discarded`` ones were not looked at.

    Holm's correction counts the metrics ``besides`` too, and ``others`` that need no pairs.
    """

    metrics: list[PairedMetric]
    besides: list[PairedMetric] = field(default_factory=list)
    others: int = 0
    count: int = 0
    discarded: int = 0
    seconds: float = 0.0

    @property
    def is_decided(self) -> bool:
        awaited = [metric for metric in self.metrics if metric.measure.decides] or self.metrics
        measured = [metric for metric in awaited if metric.is_measured]
        return bool(measured) and all(metric.verdict != INCONCLUSIVE for metric in measured)

    def why_open(self, budget_s: float, what: str = "pairs") -> str:
        """Why these do not decide, with what to do."""
        if self.discarded > self.count:
            return (
                f"other programs or the hypervisor used the cores in {self.discarded} of "
                f"{self.count + self.discarded} {what}: stop them, or use a quieter machine"
            )
        return f"{self.count} {what} in {budget_s:.4g} s do not decide: raise --budget, or --threshold"


def pairs_of_turns(options: Options, besides: Sequence[PairedMetric] = ()) -> Pairs:
    """None yet, of the metrics of ``turns.measure_in_turns``."""
    metrics = [paired(measure, options.threshold) for measure in MEASURES]
    return Pairs(metrics, list(besides), options.others)


def decide_by_pairs(
    measure_pair: Callable[[], list[Result]],
    budget_s: float,
    pairs: Pairs,
    show: Show = lambda progress: None,
    clock: Clock = time.monotonic,
) -> None:
    """Ask for ``pairs``, results of the baseline and the candidate, until they decide or the budget is spent.

    A pair during which other programs, or the hypervisor, used more than a twentieth of the cores that it
    ran on is discarded before its times are looked at.
    """
    start = now = clock()
    longest_s = 0.0
    while not pairs.is_decided and now - start + longest_s <= budget_s:
        results = measure_pair()
        if any(map(is_disturbed, results)):
            pairs.discarded += 1
        else:
            pairs.count += 1
            for metric in pairs.metrics:
                metric.add(*results)
            decide([*pairs.metrics, *pairs.besides], pairs.others)
        longest_s = max(longest_s, clock() - now)
        now = clock()
        pairs.seconds = now - start
        show(Progress(pairs.count, pairs.discarded, pairs.seconds, pairs.metrics[0].test.ratio))


def is_disturbed(result: Result) -> bool:
    """Whether others used the cores meanwhile; what the system does not tell is no disturbance."""
    noise = result["environment"].get("during")
    return noise is not None and max(noise["others_here_cores"], noise["stolen_cores"]) > OTHERS_LIMIT
