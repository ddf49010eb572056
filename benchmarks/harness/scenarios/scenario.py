"""The ``Scenario`` type, in the terms of MLPerf Inference, and what all scenarios share.

Source: Reddi et al., "MLPerf Inference Benchmark", ISCA 2020, section IV.
A scenario runs inferences of a ``Workload`` for at least a given time, and returns every raw sample. Garbage
collection is off meanwhile: a collection during an inference would count as the network's time. Progress is
reported between inferences, at most four times a second (about 0.1 ms each time).
"""

from __future__ import annotations

import contextlib
import gc
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevid.benchmarks.harness.protocol import Settings

Step = Callable[[], None]
Clock = Callable[[], int]
Report = Callable[[float, Sequence[int]], None]
"""Called from time to time with the seconds since the start and the samples so far, in nanoseconds."""

REPORT_INTERVAL_NS = 250_000_000
SPIN_NS = 300_000
"""How long to wait actively at the end of a pause: waking a thread takes about a tenth of a millisecond."""


@dataclass(frozen=True)
class Workload:
    """What a scenario runs: ``step`` runs one inference and returns when it is done.

    ``new_step`` makes another step with an input, and for a stream states, of its own. ``clock`` returns
    nanoseconds. ``session`` is the open bundle, for the scenario that feeds it real frames.
    """

    step: Step
    report: Report
    clock: Clock = time.perf_counter_ns
    settings: Settings = field(default_factory=Settings)
    new_step: Callable[[], Step] | None = None
    session: Any = None


@dataclass(frozen=True)
class Timing:
    """Raw samples in nanoseconds, and the wall time of the whole run in seconds.

    ``inferences`` ran in that time, by default one per sample. ``details`` is the scenario's own part of the
    result, JSON values only; ``includes`` names the parts of the work in a sample.
    """

    samples_ns: Sequence[int]
    elapsed_s: float
    paused_s: float = 0.0
    """The part of it in which a scenario rests on purpose."""
    inferences: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    includes: tuple[str, ...] = ("inference",)
    warnings: tuple[str, ...] = ()

    @property
    def samples_ms(self) -> list[float]:
        return [sample / 1e6 for sample in self.samples_ns]

    @property
    def count(self) -> int:
        """The number of inferences."""
        return len(self.samples_ns) if self.inferences is None else self.inferences

    @property
    def inferences_per_s(self) -> float:
        return self.count / self.elapsed_s


INFERENCE_TIMES = "the time of each inference"
TIMES_BETWEEN = "the time between inferences"
HOST_CLOCK = "this machine's clock and processes"
HERE = frozenset({INFERENCE_TIMES, TIMES_BETWEEN, HOST_CLOCK})
"""What this machine can time."""

DURATION_S = 10.0


@dataclass(frozen=True)
class Scenario:
    """``sample`` describes one sample, ``metric`` the figure to report.

    ``needs`` is what a device must be able to time. ``run(workload, duration_s)`` returns the samples, after
    ``duration_s`` seconds by default. ``timed_loop`` is the loop around inferences, whose overhead is
    measured with an empty step; None where the scenario's ``run`` is that loop. ``shares_cores``: other
    stages run beside the network, so its threads do not spin and are not pinned. Lists sort by ``order``;
    ``by_default`` scenarios run if the user names none.
    """

    name: str
    sample: str
    metric: str
    needs: frozenset[str]
    run: Callable[[Workload, float], Timing]
    duration_s: float = DURATION_S
    timed_loop: Callable[[Workload, float], Timing] | None = None
    shares_cores: bool = False
    order: int = 100
    by_default: bool = False


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Collect garbage now, and not again until the block ends."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def new_samples() -> array[int]:
    """An empty array of nanoseconds: eight bytes per sample, where a list of integers needs forty."""
    return array("q")


def wait_until(due_ns: int, clock: Clock) -> None:
    """Return at ``due_ns``: sleep, then wait actively."""
    while (left := due_ns - clock()) > 0:
        time.sleep(max(0, left - SPIN_NS) / 1e9)
