"""``edgevid regress --self-test``: what the gate can detect on this machine within a budget.

Fresh processes take turns in rounds: two as they are and one for each known slow-down, in random order.
Trials of the gate then draw rounds from these and decide as it does, about equal sides or a slower one.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.turns import measure_in_turns
from edgevid.benchmarks.regress import slowed
from edgevid.benchmarks.regress.gate import (
    Measure,
    Options,
    Pairs,
    Result,
    decide_by_pairs,
    identity,
    is_disturbed,
)
from edgevid.benchmarks.regress.metrics import INCONCLUSIVE, REGRESSION, overall
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError

SLOWDOWNS = (0.03, 0.05, 0.10)
ALL = (0.0, 0.0, *SLOWDOWNS)
"""Of a round."""
TRIALS = 200
"""Of each slow-down, and of none."""
MIN_ROUNDS = 10
RELIABLE = 0.95
"""The share of trials from which on a slow-down counts as one that is caught."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Round:
    """The results of two processes as they are, of one for each slow-down, and the time of a pair of them."""

    equal: list[Result]
    slower: dict[float, Result]
    pair_s: float

    def results(self) -> Iterator[Result]:
        yield from self.equal
        yield from self.slower.values()


def run(
    bundle: str | Path,
    options: Options,
    show: Callable[[float, float], None] = lambda elapsed_s, budget_s: None,
    measure: Measure = measure_in_turns,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """The document of ``edgevid regress --self-test --json``; it takes about ``options.budget_s``.

    ``show(elapsed_s, budget_s)`` after each round. Raises ``BenchmarkError`` if the budget is too short.
    """
    subject, start = Bundle.open(bundle), clock()
    rounds: list[Round] = []
    for one in _rounds(subject.path, options, measure, clock):
        rounds.append(one)
        elapsed_s = clock() - start
        show(elapsed_s, options.budget_s)
        if elapsed_s * MIN_ROUNDS > options.budget_s * len(rounds):
            raise BenchmarkError(
                f"a self-test needs {MIN_ROUNDS} rounds of {len(ALL)} processes: use --budget "
                f"{math.ceil(1.2 * MIN_ROUNDS * elapsed_s / len(rounds))}s or more"
            )
        if elapsed_s * (1 + 1 / len(rounds)) > options.budget_s:
            break
    equal, *slower = (
        [_trial(rounds, share, options, seed) for seed in range(TRIALS)] for share in (0.0, *SLOWDOWNS)
    )
    result = {
        "bundle": identity(subject),
        "threshold": options.threshold,
        "budget_s": options.budget_s,
        "rounds": len(rounds),
        "disturbed_processes": statistics.mean(
            is_disturbed(result) for one in rounds for result in one.results()
        ),
        "trials": TRIALS,
        "false_alarms": _false_alarms(equal),
        "slowdowns": [{"slowdown": share, **_summary(trials)} for share, trials in zip(SLOWDOWNS, slower)],
        "seconds": clock() - start,
        "environment": rounds[0].equal[0]["environment"],
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
        return (
            f"in {budget} this machine catches a slow-down of {largest['slowdown']:.0%} in "
            f"{largest['caught']:.0%} of trials, which is not reliable: raise --budget, or use a quieter "
            f"machine; {wrong}"
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
    processes = result["rounds"] * len(ALL)
    drawn = (
        f"{result['trials']} trials each, drawn from {processes} processes that were measured for "
        f"{result['seconds']:.0f} s; during {result['disturbed_processes']:.0%} of them others used the cores"
    )
    return f"{tabulate([none, *rows], headers, disable_numparse=True)}\n\n{result['sentence']}.\n{drawn}."


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['passed']:.1%}", f"{row['inconclusive']:.1%}", f"{row['pairs']:.0f}", f"{row['seconds']:.0f}",
    ]  # fmt: skip


def _rounds(path: Path, options: Options, measure: Measure, clock: Callable[[], float]) -> Iterator[Round]:
    draw = random.Random(options.seed)
    workers = [(sys.executable, "-m", slowed.__name__, str(share)) for share in ALL]
    while True:
        began = clock()
        results = measure([path] * len(ALL), options.process_s, options.threads, draw, workers)
        yield Round(results[:2], dict(zip(SLOWDOWNS, results[2:])), 2 / len(ALL) * (clock() - began))


def _trial(rounds: list[Round], share: float, options: Options, seed: int) -> tuple[str, Pairs]:
    """The verdict of a gate whose pairs are drawn from ``rounds``, and its pairs."""
    draw = random.Random(f"{share} {seed}")
    now_s = 0.0

    def pair() -> list[Result]:
        nonlocal now_s
        one = draw.choice(rounds)
        before, after = draw.sample(one.equal, 2)
        now_s += one.pair_s
        return [before, one.slower[share] if share else after]

    pairs = decide_by_pairs(pair, options, clock=lambda: now_s)
    return overall(pairs.metrics, []), pairs


def _summary(trials: list[tuple[str, Pairs]]) -> dict[str, float]:
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


def _false_alarms(trials: list[tuple[str, Pairs]]) -> dict[str, float]:
    summary = _summary(trials)
    share = summary.pop("caught")
    return {"share": share, "upper_bound": upper_bound(round(share * len(trials)), len(trials)), **summary}


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
