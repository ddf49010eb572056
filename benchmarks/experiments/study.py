"""What all experiments share: options, interleaved samples, ratios, and a file with the environment.

A ratio is between two samples of one round, so that other load on the machine affects both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tabulate import tabulate

from edgevid.errors import BenchmarkError, EdgevidError
from edgevid.host.environment import environment_warnings, observe
from edgevid.host.files import atomic_write
from edgevid.host.processor import usable_cores
from edgevid.parity import compare

Candidate = TypeVar("Candidate")
Run = Callable[[], Any]
Samples = Mapping[str, Sequence[float]]
"""Milliseconds by candidate; element i of each is the sample of round i."""

WARM_UP_ROUNDS = 2
RESAMPLES, CONFIDENCE, SEED = 4000, 0.95, 0


class Study:
    """A command's options, the environment before the first run, and the results so far."""

    def __init__(self, description: str, rounds: int, size: bool = False) -> None:
        self.parser = argparse.ArgumentParser(description=description)
        self.parser.add_argument("--rounds", type=int, default=rounds, help=f"samples of each ({rounds})")
        self.parser.add_argument("--threads", type=int, default=min(2, usable_cores()))
        self.parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples to a file")
        if size:
            self.parser.add_argument(
                "--size", type=int, help="height and width in pixels (the network's own)"
            )
        self.facts: dict[str, Any] = {}
        self.results: list[dict[str, Any]] = []

    def run(self, measure: Callable[[argparse.Namespace], None]) -> None:
        """Call ``measure`` with the command line's options, then print the environment and write the file."""
        self.options = self.parser.parse_args()
        self.environment = observe()
        try:
            measure(self.options)
        except EdgevidError as error:
            self.parser.exit(2, f"error: {error}\n")
        facts = "".join(f", {key} {value}" for key, value in self.facts.items())
        print(f"\n{self.environment['device']}, {self.options.threads} threads{facts}", end=", ")
        print(self.environment["date_utc"])
        for warning in environment_warnings(self.environment):
            print(f"warning: {warning}")
        if self.options.json:
            atomic_write(self.options.json, (json.dumps(self.document(), indent=1) + "\n").encode())

    def add(self, name: str, samples_ms: Samples | Sequence[float], **facts: Any) -> None:
        self.results.append({"name": name, **facts, "samples_ms": samples_ms})

    def document(self) -> dict[str, Any]:
        options = {key: value for key, value in vars(self.options).items() if key != "json"}
        return {"environment": self.environment, "options": options, **self.facts, "results": self.results}


def interleave(
    candidates: Mapping[str, Candidate],
    rounds: int,
    rest_s: float = 0.0,
    clock: Callable[[Candidate], float] | None = None,
) -> dict[str, list[float]]:
    """Milliseconds of each candidate, in rounds that each start with a different one.

    ``clock`` runs a candidate and returns its milliseconds, wall time by default. Each run follows a sleep of
    ``rest_s``, for candidates whose threads spin for a while after a run.
    """
    measure: Callable[[Any], float] = clock or wall_ms
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for turn in range(-WARM_UP_ROUNDS, rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(rest_s)
            took_ms = measure(candidates[name])
            if turn >= 0:
                samples[name].append(took_ms)
    return samples


def wall_ms(run: Run) -> float:
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


@dataclass(frozen=True)
class Ratio:
    """The median of ``pairs`` ratios and its bootstrap 95 % confidence interval."""

    median: float
    low: float
    high: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """The median over rounds of ``over / under``; element i of both is the time in round i.

    The interval is the percentile bootstrap (Efron, "Bootstrap Methods", Annals of Statistics 1979): rounds
    are drawn with replacement, always with the same seed, so the same samples give the same interval.
    """
    if len(over) != len(under) or not len(over):
        raise ValueError(f"cannot pair {len(over)} with {len(under)} rounds")
    values = np.asarray(over, np.float64) / np.asarray(under, np.float64)
    resamples = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[resamples], axis=1)
    low, high = np.quantile(medians, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Ratio(float(np.median(values)), float(low), float(high), len(values))


def describe(samples: Samples) -> str:
    """The medians, and the first candidate's paired ratio to each of the others."""
    first, *others = samples
    parts = [f"{name} {np.median(values):.4g} ms" for name, values in samples.items()]
    parts += [f"{first}/{other} {paired_ratio(samples[first], samples[other])}" for other in others]
    return ", ".join(parts)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows of kernels; ``spread`` is (p90 - p10) / p50 of the samples."""
    print(tabulate(rows, headers="keys", floatfmt=".3f"))
    print("medians in ms; spread is (p90 - p10) / p50")


def require_equal(
    name: str, result: Sequence[np.ndarray], reference: str, expected: Sequence[np.ndarray], tolerance: float
) -> None:
    """Raise ``BenchmarkError`` if an output of ``name`` differs from that of ``reference``."""
    measured = compare(dict(enumerate(result)), dict(enumerate(expected)), tolerance)
    if not measured.ok:
        raise BenchmarkError(
            f"{name} differs from {reference} by {measured.max_rel:.1e} (tolerance {tolerance:g}), "
            "so its times are meaningless"
        )
