"""What is timed, and how: one ``Scenario`` each, in the terms of MLPerf Inference.

Source: Reddi et al., "MLPerf Inference Benchmark", ISCA 2020, section IV.
A scenario takes ``step`` (a function without arguments that does one inference and returns when it is
done), runs it for at least ``duration_s`` seconds, and returns every raw sample. Garbage collection is
off while the clock runs: a collection inside one inference would be charged to the network. Progress is
reported between two inferences and at most four times a second (about 0.1 ms each time).
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgevid.errors import BenchmarkError
from edgevid.specs.registry import Registry

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


def single_stream(step: Step, duration_s: float, report: Report, clock: Clock | None = None) -> Timing:
    """Single-stream: the next query is sent when the previous one has been answered.

    A sample is the latency of one query: from just before the inference to just after it. What the
    harness does between two inferences is in no sample. A query is one clip, or one pushed frame of a
    streaming bundle. MLPerf's figure of merit is the 90th percentile of the samples. ``clock`` gives
    nanoseconds; without one it is this computer's.
    """
    clock = clock or time.perf_counter_ns
    samples: list[int] = []
    record = samples.append
    with collection_paused():
        start = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        end = start
        while end < deadline:
            begin = clock()
            step()
            end = clock()
            record(end - begin)
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
        elapsed_s = (clock() - start) / 1e9
    return Timing(samples, elapsed_s)


def offline(step: Step, duration_s: float, report: Report, clock: Clock | None = None) -> Timing:
    """Offline: all the queries are there from the beginning; what counts is the throughput.

    The same clip is run back to back, in batches of the one clip that ``step`` holds. The run is timed
    as a whole (throughput = inferences / wall time), and the clock is read once after each batch: a
    sample is the time from the end of one batch to the end of the next, so that the samples cover the
    whole run without a gap, the harness's own time included. They are service times, not the latency a
    user would see, who in this scenario waits for the whole set. MLPerf's figure of merit is the
    throughput. A batch of several clips and inferences that overlap are not tried, so a backend that
    gains from them could be faster than is reported.
    """
    clock = clock or time.perf_counter_ns
    samples: list[int] = []
    record = samples.append
    with collection_paused():
        start = clock()
        deadline, next_report = start + int(duration_s * 1e9), start
        previous = start
        while previous < deadline:
            step()
            end = clock()
            record(end - previous)
            if end >= next_report:
                report((end - start) / 1e9, samples)
                next_report = end + REPORT_INTERVAL_NS
            previous = end
        elapsed_s = (previous - start) / 1e9
    return Timing(samples, elapsed_s)


INFERENCE_TIMES = "the time of each inference"
TIMES_BETWEEN = "the time between inferences"
HERE = frozenset({INFERENCE_TIMES, TIMES_BETWEEN})
"""What this machine can time."""


@dataclass(frozen=True)
class Scenario:
    """``sample`` is what one sample is, ``metric`` the figure that counts.

    ``needs`` is what a device must be able to time. ``run(step, duration_s, report, clock)`` returns the
    samples.
    """

    name: str
    sample: str
    metric: str
    needs: frozenset[str]
    run: Callable[..., Timing]


SCENARIOS: Registry[Scenario] = Registry("scenario", "scenarios")
for _scenario in (
    Scenario(
        "single-stream",
        "latency of one inference, the next begins when it is done",
        "p90 (MLPerf), and p50, p99",
        frozenset({INFERENCE_TIMES}),
        single_stream,
    ),
    Scenario(
        "offline",
        "time from the end of one inference to the end of the next; together they fill the run",
        "clips/s over the whole run",
        frozenset({INFERENCE_TIMES, TIMES_BETWEEN}),
        offline,
    ),
):
    SCENARIOS.register(_scenario.name, _scenario)

RESERVED = ("multi-stream", "server", "camera", "sustained")
"""Names of the contract for scenarios that do not exist yet."""


def scenarios_for(offers: frozenset[str] = HERE) -> tuple[str, ...]:
    """Those that a device can run which offers so much."""
    return tuple(scenario.name for scenario in SCENARIOS.values() if scenario.needs <= offers)


def scenario_named(name: str) -> Scenario:
    """The scenario of that name, or a ``BenchmarkError`` that lists those which exist."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    known = " or ".join(SCENARIOS)
    if name in RESERVED:
        raise BenchmarkError(f"scenario '{name}' cannot be measured yet: use --scenario {known}")
    raise BenchmarkError(f"unknown scenario '{name}': use --scenario {known}")


def overhead_us(name: str, duration_s: float = 0.1) -> float:
    """What the harness costs per inference, in microseconds: the scenario's own loop around nothing.

    This is wall time per turn of the loop (clocks, bookkeeping, the call itself, the decision whether to
    report), measured live, so it is an upper bound of what these add to a sample. The reports themselves
    come by the second, not by the inference, and are not in it.
    """
    timing = scenario_named(name).run(_nothing, duration_s, _ignore)
    return 1e6 * timing.elapsed_s / len(timing.samples_ns)


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


def _nothing() -> None:
    """An inference that does nothing."""


def _ignore(elapsed_s: float, samples: list[int]) -> None:
    """A report that nobody reads."""
