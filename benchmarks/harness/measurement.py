"""One measurement of an open session, here or on a board: warm up, run the scenario, summarize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from edgevid.benchmarks.harness.protocol import Progress, Request
from edgevid.benchmarks.harness.result import Measured, result_of
from edgevid.benchmarks.harness.scenarios import scenario_named
from edgevid.benchmarks.harness.scenarios.scenario import REPORT_INTERVAL_NS, Clock, Report, Step
from edgevid.benchmarks.harness.warmup import LIMIT_S, warm_up
from edgevid.host.environment import environment_warnings
from edgevid.host.probes import Probe

RECENT = 101
"""Samples in the running median, limited so that its cost stays constant."""

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Timer:
    """How inferences are timed: ``step`` runs one, ``clock`` returns nanoseconds, ``probe`` reads power.

    ``peak_mib`` is called right after the scenario; ``overhead_us(scenario)`` is the harness's per inference.
    """

    step: Step
    clock: Clock
    probe: Probe
    baseline_mib: float | None
    peak_mib: Callable[[], float | None]
    overhead_us: Callable[[str], float]


def measure(
    request: Request, session: Any, timer: Timer, environment: dict[str, Any], emit: Emit
) -> dict[str, Any]:
    """Measure ``session``, opened for ``request`` in ``environment``; returns the result."""
    warm = warm_up(timer.step, _reporter(emit, "warming up", LIMIT_S), clock=timer.clock)
    report = _reporter(emit, "measuring", request.duration_s)
    with timer.probe:
        timing = scenario_named(request.scenario).run(timer.step, request.duration_s, report, timer.clock)
    # Before anything else is computed, so that the peak is the network's and not the harness's.
    peak_mib = timer.peak_mib()
    emit_progress(emit, Progress("summarizing"))
    return result_of(
        Measured(
            request=request,
            manifest=session.manifest,
            target=session.target,
            backend=session.backend,
            threads=session.threads,
            warm_up=warm,
            timing=timing,
            baseline_mib=timer.baseline_mib,
            peak_mib=peak_mib,
            harness_overhead_us=timer.overhead_us(request.scenario),
            manifest_sha256=session.bundle.sha256,
            environment=environment,
            warnings=environment_warnings(environment),
            power=timer.probe.fields(),
        )
    )


def emit_progress(emit: Emit, progress: Progress) -> None:
    emit({"event": "progress", **asdict(progress)})


def _reporter(emit: Emit, phase: str, total_s: float) -> Report:
    """A report function that sends the running median, at most once per interval."""
    next_s = 0.0

    def report(elapsed_s: float, samples_ns: list[int]) -> None:
        nonlocal next_s
        if elapsed_s < next_s:
            return
        next_s = elapsed_s + REPORT_INTERVAL_NS / 1e9
        p50_ms = median(samples_ns[-RECENT:]) / 1e6
        emit_progress(emit, Progress(phase, elapsed_s, total_s, p50_ms))

    return report
