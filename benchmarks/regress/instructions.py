"""Which of two bundles executes more instructions: a comparison that no other load disturbs.

Instructions are not time, so they are a metric of their own with a threshold of its own.
"""

from __future__ import annotations

import functools
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.regress import callgrind, gate
from edgevid.benchmarks.regress.callgrind import Counts
from edgevid.benchmarks.regress.metrics import IMPROVEMENT, INCONCLUSIVE, PASS, REGRESSION, facts
from edgevid.bundle.bundle import Bundle
from edgevid.host.environment import observe
from edgevid.host.processor import usable_cores
from edgevid.specs import CACHE

METRIC = "instructions"
REPEATS = 2
NOISE = 0.0005
"""The relative difference between counts of the same bundle from which on nothing is decided."""


@dataclass(frozen=True)
class Options:
    """``threshold`` is the relative growth that is a regression; ``size_threshold`` that of the files."""

    threshold: float = 0.005
    size_threshold: float = 0.03


def compare(
    baseline: str | Path,
    candidate: str | Path,
    options: Options,
    show: Callable[[int, int], None] = lambda done, total: None,
    count: Callable[[Path], Counts] = callgrind.count,
) -> dict[str, Any]:
    """The document of ``edgevid regress --instructions --json``; ``show(done, total)`` after each count."""
    start = time.monotonic()
    bundles = gate.comparable(baseline, candidate)
    before, after = count_both(bundles, show, count)
    metrics = metrics_of(before, after, options.threshold)
    fixed = facts(*bundles, options.size_threshold)
    verdict = overall(metrics, fixed)
    return {
        "verdict": verdict,
        "measure": METRIC,
        "threshold": options.threshold,
        "pairs": 0,
        "discarded_pairs": 0,
        "seconds": time.monotonic() - start,
        "threads": 1,
        "why": _why(verdict),
        "notes": callgrind.notes(),
        "metrics": metrics + fixed,
        "baseline": gate.identity(bundles[0]),
        "candidate": gate.identity(bundles[1]),
        "environment": {**observe(), "valgrind": callgrind.version()},
    }


def count_both(
    bundles: Sequence[Bundle],
    show: Callable[[int, int], None] = lambda done, total: None,
    count: Callable[[Path], Counts] = callgrind.count,
) -> list[list[Counts]]:
    """``REPEATS`` counts of each bundle, as many at once as there are cores: they do not disturb each other.

    A copy is counted, since the cache of a bundle may have what was made for more than AVX2.
    """
    counts: list[list[Counts]] = [[] for _ in bundles]
    done, total = 0, REPEATS * len(bundles)
    with tempfile.TemporaryDirectory(prefix="edgevid-") as folder, ThreadPoolExecutor(usable_cores()) as pool:
        copies = [Path(folder) / str(number) for number in range(len(bundles))]
        for bundle, copy in zip(bundles, copies):
            shutil.copytree(bundle.path, copy, ignore=shutil.ignore_patterns(CACHE))
        for _ in range(REPEATS):  # the second finds what the first has cached
            for own, result in zip(counts, pool.map(count, copies)):
                own.append(result)
                show(done := done + 1, total)
    return counts


def values_of(
    bundle: Bundle, show: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, float]:
    """What a baseline file keeps: the instructions of one inference."""
    (counts,) = count_both([bundle], show)
    return {METRIC: statistics.median(count.total for count in counts)}


def metrics_of(before: Sequence[Counts], after: Sequence[Counts], threshold: float) -> list[dict[str, Any]]:
    """The metric of all instructions, then those of the kernels.

    A kernel whose growth is lost in the noise of the whole is no regression.
    """

    def metric(name: str, read: Callable[[Counts], int]) -> dict[str, Any]:
        return _metric(name, list(map(read, before)), list(map(read, after)), threshold)

    whole = metric(METRIC, lambda counts: counts.total)
    kernels = [
        metric(f"{METRIC}.{name}", functools.partial(_of, name))
        for name in sorted({name for counts in (*before, *after) for name in counts.kernels})
    ]
    for kernel in kernels:
        if kernel["candidate"] - kernel["baseline"] < NOISE * whole["baseline"]:
            kernel["verdict"] = PASS if kernel["verdict"] == REGRESSION else kernel["verdict"]
    return [whole, *kernels]


def overall(metrics: Sequence[dict[str, Any]], fixed: Sequence[dict[str, Any]] = ()) -> str:
    """A kernel that grows is a regression, unless there are fewer in all: then it does another's work."""
    whole, *kernels = metrics
    deciding = [whole, *fixed, *(kernels if whole["ratio"] > 1 else [])]
    if any(metric["verdict"] == REGRESSION for metric in deciding):
        return REGRESSION
    return whole["verdict"]


def _metric(name: str, before: list[int], after: list[int], threshold: float) -> dict[str, Any]:
    ratio = statistics.median(after) / statistics.median(before) if min(*before, *after) else None
    return {
        "name": name,
        "baseline": statistics.median(before),
        "candidate": statistics.median(after),
        "ratio": ratio,
        "interval": [ratio, ratio],
        "verdict": _verdict(before, after, ratio, threshold),
        "smallest_effect": NOISE,
        "samples": {"baseline": before, "candidate": after},
    }


def _verdict(before: list[int], after: list[int], ratio: float | None, threshold: float) -> str:
    """Of a kernel that one of the two does not run: pass, since the instructions in all decide."""
    if any(max(counts) > min(counts) * (1 + NOISE) for counts in (before, after)):
        return INCONCLUSIVE
    if ratio is None or 1 / (1 + threshold) <= ratio <= 1 + threshold:
        return PASS
    return REGRESSION if ratio > 1 else IMPROVEMENT


def _of(kernel: str, counts: Counts) -> int:
    return counts.kernels.get(kernel, 0)


def _why(verdict: str) -> str:
    if verdict != INCONCLUSIVE:
        return ""
    return (
        f"two counts of the same bundle differ by more than {NOISE:.2%}, so it does not take the same way "
        "each time: compare times, without --instructions"
    )
