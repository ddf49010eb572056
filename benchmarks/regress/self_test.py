"""``edgevid regress --self-test``: what the gate can detect on this machine within a budget.

Pairs of processes are measured as the gate does: equal ones, and one for each known slow-down. Trials of the
gate then draw from these pairs and decide as it does.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.turns import measure_in_turns
from edgevid.benchmarks.regress import slowed
from edgevid.benchmarks.regress.gate import Measure, identity
from edgevid.benchmarks.regress.metrics import INCONCLUSIVE, REGRESSION, overall
from edgevid.benchmarks.regress.pairs import (
    Options,
    Pairs,
    Result,
    decide_by_pairs,
    is_disturbed,
    pairs_of_turns,
)
from edgevid.bundle.bundle import Bundle

SLOWDOWNS = (0.03, 0.05, 0.10)
KINDS = (0.0, *SLOWDOWNS)
"""Of pairs, by the slow-down of the second process."""
TRIALS = 200
"""Of each kind."""
RELIABLE = 0.95
"""The share of trials from which on a slow-down counts as one that is caught."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pair:
    """The results of two processes, and the time that measuring them took."""

    results: list[Result]
    seconds: float


Pool = dict[float, list[Pair]]
"""Measured pairs by kind."""


def run(
    bundle: str | Path,
    options: Options,
    show: Callable[[float, float], None] = lambda elapsed_s, total_s: None,
    measure: Measure = measure_in_turns,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The document of ``edgevid regress --self-test --json``.

    Each kind of pair is measured for ``options.budget_s``, so there are as many of each as a gate with this
    budget has. ``show(elapsed_s, total_s)`` after each round of one pair of each kind.
    """
    subject, start = Bundle.open(bundle), clock()
    total_s = len(KINDS) * options.budget_s
    pool: Pool = {kind: [] for kind in KINDS}
    for rounds in measure_rounds(pool, subject.path, options, slowed.worker, measure, clock):
        elapsed_s = clock() - start
        show(elapsed_s, total_s)
        if elapsed_s * (1 + 1 / rounds) > total_s:
            break
    equal, *slower = ([trial(pool, kind, options, seed) for seed in range(TRIALS)] for kind in KINDS)
    pairs = [pair for kind in KINDS for pair in pool[kind]]
    result = {
        "bundle": identity(subject),
        "threshold": options.threshold,
        "budget_s": options.budget_s,
        "measured_pairs": len(pairs),
        "disturbed": statistics.mean(any(map(is_disturbed, pair.results)) for pair in pairs),
        "trials": TRIALS,
        "false_alarms": false_alarms(equal),
        "slowdowns": [{"slowdown": share, **summary(trials)} for share, trials in zip(SLOWDOWNS, slower)],
        "seconds": clock() - start,
        "environment": pairs[0].results[0]["environment"],
    }
    return {"sentence": sentence(result), **result}


def sentence(result: dict[str, Any]) -> str:
    """What the gate can detect, in words."""
    budget = f"a budget of {result['budget_s']:g} s"
    caught = [row for row in result["slowdowns"] if row["caught"] >= RELIABLE]
    alarms = result["false_alarms"]
    wrong = (
        f"equal sides raise an alarm in {alarms['share']:.1%} of trials (at most {alarms['upper_bound']:.1%})"
    )
    if not caught:
        largest = result["slowdowns"][-1]
        others = f"others used its cores during {result['disturbed']:.0%} of the pairs; "
        return (
            f"in {budget} this machine catches a slow-down of {largest['slowdown']:.0%} in "
            f"{largest['caught']:.0%} of trials, which is not reliable: raise --budget, or use a quieter "
            f"machine; {others if result['disturbed'] else ''}{wrong}"
        )
    best = caught[0]
    return (
        f"in {budget} this machine catches a slow-down of {best['slowdown']:.0%} in {best['caught']:.0%} of "
        f"trials, after {best['pairs']:.0f} pairs of processes and {best['seconds']:.0f} s; {wrong}"
    )


def table(result: dict[str, Any]) -> str:
    """A row per slow-down, the sentence, and what it is drawn from."""
    from tabulate import tabulate

    alarms = result["false_alarms"]
    none = ["none", f"{alarms['share']:.1%} (false)", *_cells(alarms)]
    rows = [[f"{row['slowdown']:.0%}", f"{row['caught']:.1%}", *_cells(row)] for row in result["slowdowns"]]
    headers = ("slow-down", "caught", "passed", "inconclusive", "pairs", "seconds")
    drawn = (
        f"{result['trials']} trials each, drawn from {result['measured_pairs']} pairs that were measured in "
        f"{result['seconds']:.0f} s; during {result['disturbed']:.0%} of them others used the cores"
    )
    return f"{tabulate([none, *rows], headers, disable_numparse=True)}\n\n{result['sentence']}.\n{drawn}."


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['passed']:.1%}", f"{row['inconclusive']:.1%}", f"{row['pairs']:.0f}", f"{row['seconds']:.0f}",
    ]  # fmt: skip


def measure_rounds(
    pool: Pool,
    path: Path,
    options: Options,
    worker: Callable[[float], Sequence[str]],
    measure: Measure = measure_in_turns,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[int]:
    """Add rounds of one pair of each kind to ``pool`` for ever; yields their number.

    ``worker(slowdown)`` is the command of a process whose inferences take that much longer.
    """
    draw = random.Random(options.seed)
    while True:
        for kind in draw.sample(KINDS, len(KINDS)):
            began = clock()
            workers = [worker(0.0), worker(kind)]
            results = measure([path, path], options.process_s, options.threads, draw, workers)
            pool[kind].append(Pair(results, clock() - began))
        yield len(pool[0.0])


def trial(pool: Pool, kind: float, options: Options, seed: int) -> tuple[str, Pairs]:
    """The verdict of a gate whose pairs are drawn from ``pool``, and its pairs.

    Which of two equal processes is called the baseline is drawn too.
    """
    draw = random.Random(f"{kind} {seed}")
    now_s = 0.0

    def pair() -> list[Result]:
        nonlocal now_s
        drawn = draw.choice(pool[kind])
        now_s += drawn.seconds
        return drawn.results if kind else draw.sample(drawn.results, 2)

    pairs = pairs_of_turns(options)
    decide_by_pairs(pair, options.budget_s, pairs, clock=lambda: now_s)
    return overall(pairs.metrics, []), pairs


def summary(trials: list[tuple[str, Pairs]]) -> dict[str, float]:
    """Shares of the trials, and medians of their pairs and seconds."""
    verdicts = [verdict for verdict, _ in trials]
    caught, open_ = verdicts.count(REGRESSION), verdicts.count(INCONCLUSIVE)
    return {
        "caught": caught / len(trials),
        "passed": (len(trials) - caught - open_) / len(trials),
        "inconclusive": open_ / len(trials),
        "pairs": statistics.median(pairs.count for _, pairs in trials),
        "seconds": statistics.median(pairs.seconds for _, pairs in trials),
    }


def false_alarms(trials: list[tuple[str, Pairs]]) -> dict[str, float]:
    shares = summary(trials)
    share = shares.pop("caught")
    return {"share": share, "upper_bound": upper_bound(round(share * len(trials)), len(trials)), **shares}


def upper_bound(count: int, trials: int) -> float:
    """The largest probability of which ``count`` or fewer events in ``trials`` are not yet a surprise.

    Clopper and Pearson's one-sided interval ("The use of confidence or fiducial limits", Biometrika 1934).
    """
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        p = (low + high) / 2
        tail = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(count + 1))
        low, high = (p, high) if tail > 1 - CONFIDENCE else (low, p)
    return high
