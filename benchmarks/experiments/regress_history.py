"""Does the history of verdicts find a creep, and where it began? Does it keep silent on a flat series?

Series of ``--commits`` ratios each, with noise that is synthetic, or that of recorded pairs, by default
those of ``regress_trials`` in ``results/``: then a commit's ratio is the median of successive pairs, as in
the gate. A creep is 0.5 % per commit over 30 commits, a step 3 % at once. A flat series is judged as the gate
does, after each of its commits: one false alarm in all of them counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from edgevid.benchmarks.experiments.study import Study
from edgevid.benchmarks.regress.changes import MIN_POINTS, levels_of
from edgevid.benchmarks.regress.history import REGRESSION, verdict_of
from edgevid.errors import BenchmarkError

RESULTS = Path(__file__).parent.parent / "results"
THRESHOLD = 0.03
CREEP, LENGTH = 0.005, 30
NEAR = 5
"""Commits between the true onset and the found one, at most."""
STEP_NEAR = 3

Noise = Callable[[np.random.Generator, int], np.ndarray]
"""So many logarithms of ratios, without any change."""


def white(sigma: float) -> Noise:
    return lambda chance, count: chance.normal(0, sigma, count)


def heavy(sigma: float) -> Noise:
    """Student's t with three degrees of freedom: some commits are far off."""
    return lambda chance, count: chance.standard_t(3, count) * sigma / np.sqrt(3)


def correlated(share: float, sigma: float) -> Noise:
    """AR(1): a part of each deviation remains in the next commit's."""

    def draw(chance: np.random.Generator, count: int) -> np.ndarray:
        values = chance.normal(0, sigma, count)
        for index in range(1, count):
            values[index] = share * values[index - 1] + np.sqrt(1 - share**2) * values[index]
        return values

    return draw


def recorded(logs: np.ndarray, per_commit: int) -> Noise:
    """Medians of successive pairs, from a start that is drawn."""

    def draw(chance: np.random.Generator, count: int) -> np.ndarray:
        starts = chance.integers(len(logs) - per_commit + 1, size=count)
        return np.array([np.median(logs[start : start + per_commit]) for start in starts])

    return draw


SYNTHETIC = {
    "synthetic: white, 0.5 %": white(0.005),
    "synthetic: white, 1 %": white(0.01),
    "synthetic: heavy tails, 1 %": heavy(0.01),
    "synthetic: AR(1) 0.3, 1 %": correlated(0.3, 0.01),
    "synthetic: AR(1) 0.5, 1 %": correlated(0.5, 0.01),
}


def main() -> None:
    study = Study(__doc__ or "", rounds=500)
    study.parser.add_argument("--commits", type=int, default=100)
    study.parser.add_argument("--flat", type=int, default=300, help="flat series, judged after each commit")
    study.parser.add_argument("--seed", type=int, default=0)
    study.parser.add_argument(
        "--pairs",
        action="append",
        metavar="FILE",
        help="of 'edgevid regress --json' or of regress_trials; repeatable (those in results/)",
    )
    study.parser.add_argument("--per-commit", type=int, default=9, help="recorded pairs of one ratio (9)")
    study.run(lambda options: _run(study, options))


def _run(study: Study, options: argparse.Namespace) -> None:
    noises = dict(SYNTHETIC)
    for file in map(Path, options.pairs or sorted(RESULTS.glob("*-regress-trials-*.json"))):
        logs = read_pairs(file, options.per_commit)
        noises[f"recorded: {len(logs)} pairs of {file.name}"] = recorded(logs, options.per_commit)
    for name, noise in noises.items():
        chance = np.random.default_rng(options.seed)
        figures = {
            **flat(noise, chance, options.flat, options.commits),
            **creep(noise, chance, options.rounds, options.commits),
            **step(noise, chance, options.rounds, options.commits),
        }
        study.results.append({"name": name, **figures})
        print(name, flush=True)
    print(tabulate(study.results, headers="keys", floatfmt=".3f"))


def read_pairs(file: Path, per_commit: int) -> np.ndarray:
    """The logarithms of the latency ratios of a file's pairs, in the order in which they were measured.

    The median of equal pairs is no change, nor is that of pairs with the same slow-down. ``BenchmarkError``
    for a file of another kind or too few pairs.
    """
    try:
        document = json.loads(file.read_text())
        if "results" in document:  # a round of regress_trials has a pair of each slow-down
            kinds = [
                result["samples_ms"]
                for result in document["results"]
                if result["name"].startswith("latency ratio")
            ]
        else:
            kinds = [
                metric["pair_ratios"] for metric in document["metrics"] if metric["name"] == "latency_p50_ms"
            ]
        ratios = np.array(kinds, float).T
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BenchmarkError(
            f"'{file}' has no pairs of 'edgevid regress --json' or regress_trials ({error})"
        ) from error
    if ratios.size < 5 * per_commit:
        raise BenchmarkError(
            f"'{file}' has {ratios.size} pairs; {5 * per_commit} are needed: raise its --budget"
        )
    logs = np.log(ratios)
    return (logs - np.median(logs, axis=0)).ravel()


def flat(noise: Noise, chance: np.random.Generator, count: int, commits: int) -> dict[str, Any]:
    """Shares of the series with a false alarm after any commit, and after the last one."""
    alarms = np.array([list(_alarms(noise(chance, commits))) for _ in range(count)])
    return {
        "flat_series": count,
        "false_at_any_commit": float(alarms.any(axis=1).mean()),
        "false_at_the_end": float(alarms[:, -1].mean()),
        "false_per_look": float(alarms.mean()),
    }


def _alarms(logs: np.ndarray) -> Iterator[bool]:
    for end in range(MIN_POINTS, len(logs) + 1):
        yield verdict_of(levels_of(np.exp(logs[:end]), THRESHOLD), THRESHOLD) == REGRESSION


def creep(noise: Noise, chance: np.random.Generator, count: int, commits: int) -> dict[str, Any]:
    """How often a creep is found, and how far from its first commit."""
    index, offsets = np.arange(commits), []
    for _ in range(count):
        onset = int(chance.integers(20, commits - LENGTH - 10))
        logs = noise(chance, commits) + np.log1p(CREEP) * np.clip(index - onset + 1, 0, LENGTH)
        worse = levels_of(np.exp(logs), THRESHOLD).first_bad
        offsets.append(np.nan if worse is None else worse.first - onset)
    found = np.array(offsets)
    return {
        "creeps": count,
        "creep_found": float(np.isfinite(found).mean()),
        f"onset_within_{NEAR}": float((np.abs(found) <= NEAR).mean()),
        "onset_median": float(np.nanmedian(found)),
    }


def step(noise: Noise, chance: np.random.Generator, count: int, commits: int) -> dict[str, Any]:
    """How often a step of the threshold is found near its commit, and how often something else is too."""
    index, found, others = np.arange(commits), 0, 0
    for _ in range(count):
        first = int(chance.integers(20, commits - 10))
        logs = noise(chance, commits) + np.log1p(THRESHOLD) * (index >= first)
        near = [
            abs(change.first - first) <= STEP_NEAR for change in levels_of(np.exp(logs), THRESHOLD).changes
        ]
        found += any(near)
        others += len(near) > sum(near[:1]) if any(near) else bool(near)
    return {f"step_within_{STEP_NEAR}": found / count, "step_and_others": others / count}


if __name__ == "__main__":
    main()
