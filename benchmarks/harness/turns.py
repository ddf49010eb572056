"""Workers that take turns: what the machine does for longer than a turn meets all of them.

On a shared machine the speed of a core changes by tens of percent within seconds, with the programs that
others run on the same physical core. Two processes one after the other measure that; turns of some
milliseconds are neighbors, and the ratio of their latencies stays. (Bulej et al., "Duet Benchmarking", ICPE
2020, let both run at once for the same reason; here they would disturb each other.)
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.process import WorkerProcess
from edgevid.benchmarks.harness.protocol import Request
from edgevid.benchmarks.harness.scenarios.scenario import Timing, Workload, new_samples
from edgevid.host.noise import NoiseMonitor

TURN_S = 0.01
"""Longer turns meet more changes of the machine's speed, shorter ones mostly pay for the switch."""
MIN_TURNS = 5
BEGIN = "begin"
WARM_UP_S = 0.5
"""All warm up at once. Their speeds need not be steady, since only neighboring turns are compared."""


@dataclass(frozen=True)
class Side:
    """A worker that is warm, and runs when it has its turn."""

    process: WorkerProcess
    events: Iterator[dict[str, Any]]

    def turn(self, seconds: float) -> float:
        """Let it run for so long; returns the seconds that it took."""
        self.process.send(seconds)
        return self._next("turn")["seconds"]

    def begin(self) -> None:
        """From now on noise counts."""
        self.process.send(BEGIN)

    def warm(self) -> None:
        self._next("turn")

    def result(self) -> dict[str, Any]:
        return self._next("result")["result"]

    def _next(self, kind: str) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == kind)


@contextlib.contextmanager
def sides(
    bundles: Sequence[str | Path],
    threads: int | None,
    workers: Sequence[Sequence[str] | None] | None = None,
) -> Iterator[list[Side]]:
    """A fresh process for each bundle, which have all warmed up; they end with the context.

    ``workers`` are the commands of the processes, by default edgevid's. Raises what ``harness.measure`` does.
    """
    with ExitStack() as stack:
        found = []
        for bundle, worker in zip(bundles, workers or [None] * len(bundles)):
            request = Request(str(bundle), "single-stream", 0.0, threads, power="none", in_turns=True)
            process = stack.enter_context(WorkerProcess(request, worker))
            found.append(Side(process, process.events()))
        for side in found:
            side.warm()
        for side in found:
            side.begin()
        yield found


def results_of(workers: Sequence[Side]) -> list[dict[str, Any]]:
    """End the processes; a result of each. That it waited while another had its turn is no disturbance."""
    for side in workers:
        side.process.finish()
    results = [side.result() for side in workers]
    noises = [result["environment"]["during"] for result in results]
    if None not in noises:
        all_cores = sum(noise["own_cores"] for noise in noises)
        for noise, key in itertools.product(noises, ("others_cores", "others_here_cores")):
            noise[key] = max(0.0, noise[key] - (all_cores - noise["own_cores"]))
    return results


def measure_in_turns(
    bundles: Sequence[str | Path],
    duration_s: float,
    threads: int | None,
    draw: random.Random,
    workers: Sequence[Sequence[str] | None] | None = None,
) -> list[dict[str, Any]]:
    """Measure bundles in fresh processes that take turns of ``TURN_S`` for ``duration_s`` each.

    ``draw`` decides in which order, anew for each round of turns. Returns a result for each bundle; besides
    the usual fields it has ``turn_p50_ms``, the median of each turn. ``workers`` and errors are those of
    ``sides``.
    """
    with sides(bundles, threads, workers) as taking_turns:
        elapsed_s, turns = 0.0, 0
        while elapsed_s < len(bundles) * duration_s or turns < MIN_TURNS:
            for side in draw.sample(taking_turns, len(bundles)):
                elapsed_s += side.turn(TURN_S)
            turns += 1
        return results_of(taking_turns)


def turn_ratios(baseline: dict[str, Any], candidate: dict[str, Any]) -> list[float]:
    """Candidate / baseline of each turn's median latency; above 1 the candidate is slower."""
    return [after / before for before, after in zip(baseline["turn_p50_ms"], candidate["turn_p50_ms"])]


def run_in_turns(
    run: Callable[[Workload, float], Timing],
    workload: Workload,
    turns: Iterable[str],
    noise: NoiseMonitor,
    emit: Callable[[dict[str, Any]], None],
) -> Timing:
    """The worker's side: after a line to begin, from which on noise counts, a turn for each line of seconds.

    Each turn begins with an inference that does not count, which brings the caches back from the other
    process and outlasts the spinning of its threads.
    """
    gc.collect()
    gc.freeze()  # a scenario collects garbage first: without all that was imported, that takes no time
    samples, medians, elapsed_s = new_samples(), [], 0.0
    lines = iter(turns)
    emit({"event": "turn", "seconds": 0.0})
    next(lines, None)
    with noise:
        for line in lines:
            workload.step()
            part = run(workload, json.loads(line))
            samples.extend(part.samples_ns)
            medians.append(statistics.median(part.samples_ms))
            elapsed_s += part.elapsed_s
            emit({"event": "turn", "seconds": part.elapsed_s})
    return Timing(samples, elapsed_s, details={"turn_p50_ms": medians})
