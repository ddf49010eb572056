"""The ``Scenario`` type, in the terms of MLPerf Inference, and what all scenarios share.

Source: Reddi et al., "MLPerf Inference Benchmark", ISCA 2020, section IV.
A scenario calls ``step`` (a function without arguments that runs one inference and returns when it is done)
for at least ``duration_s`` seconds, and returns every raw sample. Garbage collection is off meanwhile: a
collection during an inference would count as the network's time. Progress is reported between inferences,
at most four times a second (about 0.1 ms each time).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Step = Callable[[], None]
Clock = Callable[[], int]
Report = Callable[[float, list[int]], None]
"""Called from time to time with the seconds since the start and the samples so far, in nanoseconds."""

REPORT_INTERVAL_NS = 250_000_000


@dataclass(frozen=True)
class Timing:
    """Raw samples in nanoseconds, one per inference, and the wall time of the whole run in seconds."""

    samples_ns: list[int]
    elapsed_s: float
    paused_s: float = 0.0
    """The part of it in which a scenario rests on purpose."""

    @property
    def samples_ms(self) -> list[float]:
        return [sample / 1e6 for sample in self.samples_ns]

    @property
    def inferences_per_s(self) -> float:
        return len(self.samples_ns) / self.elapsed_s


INFERENCE_TIMES = "the time of each inference"
TIMES_BETWEEN = "the time between inferences"
HERE = frozenset({INFERENCE_TIMES, TIMES_BETWEEN})
"""What this machine can time."""


@dataclass(frozen=True)
class Scenario:
    """``sample`` describes one sample, ``metric`` the figure to report.

    ``needs`` is what a device must be able to time. ``run(step, duration_s, report, clock)`` returns the
    samples. Lists sort by ``order``; ``by_default`` scenarios run if the user names none.
    """

    name: str
    sample: str
    metric: str
    needs: frozenset[str]
    run: Callable[..., Timing]
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
