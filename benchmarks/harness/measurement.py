"""One measurement of an open session, here or on a board: warm up, run the scenario, summarize."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

from edgevid.benchmarks.harness import turns
from edgevid.benchmarks.harness.protocol import Progress, Request
from edgevid.benchmarks.harness.result import Measured, result_of
from edgevid.benchmarks.harness.scenarios import scenario_named
from edgevid.benchmarks.harness.scenarios.scenario import (
    REPORT_INTERVAL_NS,
    Clock,
    Report,
    Step,
    Workload,
)
from edgevid.benchmarks.harness.warmup import LIMIT_S, warm_up
from edgevid.host.environment import environment_warnings
from edgevid.host.noise import NoiseMonitor, noise_warnings
from edgevid.host.probes import Probe, prepare
from edgevid.specs import Manifest

RECENT = 101
"""Samples in the running median, limited so that its cost stays constant."""

Emit = Callable[[dict[str, Any]], None]


class Memory(Protocol):
    """What reads the memory of the process that runs the network (``memory.MemoryMeter``)."""

    def warmed_up(self) -> None: ...
    def finished(self) -> None: ...
    def fields(self, manifest: Manifest) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Timer:
    """How inferences are timed: ``step`` runs one, ``clock`` returns nanoseconds, ``probe`` reads power.

    ``new_step`` makes a step with an input of its own, None where there is only one. ``noise`` counts what
    other programs did. ``overhead_us(scenario)`` is the harness's per inference, None where there is none.
    ``turns``: the lines that say when to run, None for one run of the requested time.
    """

    step: Step
    clock: Clock
    probe: Probe
    memory: Memory
    noise: NoiseMonitor
    overhead_us: Callable[[str], float | None]
    new_step: Callable[[], Step] | None = None
    pinned_to: list[int] | None = None
    turns: Iterable[str] | None = None


def measure(
    request: Request, session: Any, timer: Timer, environment: dict[str, Any], emit: Emit
) -> dict[str, Any]:
    """Measure ``session``, opened for ``request`` in ``environment``; returns the result."""
    prepare(timer.probe)  # idle power, before the load
    limit_s = LIMIT_S if timer.turns is None else turns.WARM_UP_S
    warm = warm_up(timer.step, _reporter(emit, "warming up", limit_s), limit_s, timer.clock)
    timer.memory.warmed_up()
    report = _reporter(emit, "measuring", request.duration_s)
    workload = Workload(timer.step, report, timer.clock, request.settings, timer.new_step, session)
    run = scenario_named(request.scenario).run
    if timer.turns is None:
        with timer.probe, timer.noise:
            timing = run(workload, request.duration_s)
    else:
        timing = turns.run_in_turns(run, workload, timer.turns, timer.noise, emit)
    # Before anything else is computed, so that the peak is the network's and not the harness's.
    timer.memory.finished()
    emit_progress(emit, Progress("summarizing"))
    noise = timer.noise.fields()
    return result_of(
        Measured(
            request=request,
            manifest=session.manifest,
            target=session.target,
            backend=session.backend,
            threads=session.threads,
            warm_up=warm,
            timing=timing,
            step_includes=session.step_includes,
            memory_mib=timer.memory.fields(session.manifest),
            harness_overhead_us=timer.overhead_us(request.scenario),
            manifest_sha256=session.bundle.sha256,
            environment={**environment, "pinned_to": timer.pinned_to, "during": noise},
            warnings=[*environment_warnings(environment), *noise_warnings(noise)],
            power=timer.probe.fields(),
        )
    )


def emit_progress(emit: Emit, progress: Progress) -> None:
    emit({"event": "progress", **asdict(progress)})


def _reporter(emit: Emit, phase: str, total_s: float) -> Report:
    """A report function that sends the running median, at most once per interval."""
    next_s = 0.0

    def report(elapsed_s: float, samples_ns: Sequence[int]) -> None:
        nonlocal next_s
        if elapsed_s < next_s:
            return
        next_s = elapsed_s + REPORT_INTERVAL_NS / 1e9
        p50_ms = median(samples_ns[-RECENT:]) / 1e6
        emit_progress(emit, Progress(phase, elapsed_s, total_s, p50_ms))

    return report
