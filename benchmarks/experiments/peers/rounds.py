"""Interleaved rounds: every candidate has one turn per round, in an order that is shuffled anew each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgevid.benchmarks.experiments.peers.worker_process import PeerError

Turn = Callable[[], list[float]]


@dataclass
class Rounds:
    """``samples_ms[name][round]`` are the times of one turn, ``orders[round]`` the order of the candidates.

    A candidate that fails is dropped: it has no samples, and ``failed`` gives the reason.
    """

    samples_ms: dict[str, list[list[float]]] = field(default_factory=dict)
    orders: list[list[str]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def measure(
    turns: Mapping[str, Turn],
    pairs: int,
    warm_ups: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rounds:
    """Run ``pairs`` rounds after ``warm_ups`` discarded ones; ``seed`` determines the orders."""
    shuffler, result = random.Random(seed), Rounds()
    names = list(turns)
    for round_ in range(-warm_ups, pairs):
        progress(round_ + warm_ups, pairs + warm_ups)
        order = shuffler.sample(names, len(names))
        turn = {}
        for name in order:
            if name in result.failed:
                continue
            try:
                turn[name] = turns[name]()
            except PeerError as error:
                result.failed[name] = f"in round {round_ + warm_ups + 1}: {error}"
                result.samples_ms.pop(name, None)
        if round_ >= 0:
            result.orders.append([name for name in order if name in turn])
            for name, samples in turn.items():
                result.samples_ms.setdefault(name, []).append(samples)
    return result


def medians_of_turns(samples_ms: Sequence[Sequence[float]]) -> list[float]:
    """The median time of each of a candidate's turns."""
    return [float(np.median(turn)) for turn in samples_ms]
