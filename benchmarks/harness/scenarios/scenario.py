"""What a scenario is, in the terms of MLPerf Inference, and what all of them need.

Source: Reddi et al., "MLPerf Inference Benchmark", ISCA 2020, section IV.
A scenario takes ``step`` (a function without arguments that does one inference and returns when it is
done), runs it for at least ``duration_s`` seconds, and returns every raw sample. Garbage collection is
off while the clock runs: a collection inside one inference would be charged to the network. Progress is
reported between two inferences and at most four times a second (about 0.1 ms each time).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Step = Callable[[], None]
Clock = Callable[[], int]
Report = Callable[[float, list[int]], None]
"""Called now and then with the seconds since the start and the samples so far, in nanoseconds."""

REPORT_INTERVAL_NS = 250_000_000


@dataclass(frozen=True)
class Timing:
    """Raw samples in nanoseconds, one per inference, and the wall time of the whole run in seconds."""

    samples_ns: list[int]
    elapsed_s: float

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
    """``sample`` is what one sample is, ``metric`` the figure that counts.

    ``needs`` is what a device must be able to time. ``run(step, duration_s, report, clock)`` returns the
    samples. Lists have the lowest ``order`` first.
    """

    name: str
    sample: str
    metric: str
    needs: frozenset[str]
    run: Callable[..., Timing]
    order: int = 100


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Collect garbage now, and not again before the block ends."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
