"""The process in which one measurement is made: ``python -m edgevid.benchmarks.harness.worker``.

A fresh process for each measurement, so that no thread pool, memory arena or page cache of an earlier one
is still there, and so that the peak of the memory belongs to this bundle alone. See ``protocol`` for what
goes in and out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from statistics import median
from typing import Any, TextIO

from edgevid.benchmarks.harness.protocol import Progress, Request, error_event
from edgevid.benchmarks.harness.remote import measure_remote
from edgevid.benchmarks.harness.result import Measured, result_of
from edgevid.benchmarks.harness.scenarios import REPORT_INTERVAL_NS, overhead_us, scenario_named
from edgevid.benchmarks.harness.warmup import LIMIT_S, warm_up
from edgevid.bundle.bundle import MANIFEST
from edgevid.errors import EdgevidError
from edgevid.host import memory
from edgevid.host.digest import sha256_of
from edgevid.host.environment import environment_warnings, observe
from edgevid.host.probes import power_probe
from edgevid.targets import TARGETS

RECENT = 101
"""The running median looks at no more samples than this, so that its cost does not grow."""

Emit = Callable[[dict[str, Any]], None]


def measure_here(request: Request, open_session: Callable[..., Any], emit: Emit) -> dict[str, Any]:
    """Open the bundle, warm up, run the scenario in this process; returns the result.

    ``open_session(path, threads=...)`` is ``edgevid.open`` or what stands in for it.
    """
    if request.device != "local":
        limits_s = {"warming up": LIMIT_S, "measuring": request.duration_s}
        return measure_remote(
            request, open_session, emit, lambda phase: _reporter(emit, phase, limits_s[phase])
        )
    scenario = scenario_named(request.scenario)
    _progress(emit, Progress("opening"))
    environment = observe()
    baseline_mib = memory.resident_mib()
    session = open_session(request.bundle, threads=request.threads)
    target = session.manifest.target
    probe = power_probe(TARGETS[target].power if target in TARGETS else None)
    step = session.prepare()

    warm = warm_up(step, _reporter(emit, "warming up", LIMIT_S))
    with probe:
        timing = scenario(step, request.duration_s, _reporter(emit, "measuring", request.duration_s))
    # The peak is read before anything else is computed: it is to be the network's, not the harness's.
    peak_mib = memory.peak_mib()

    _progress(emit, Progress("summing up"))
    return result_of(
        Measured(
            request=request,
            manifest=session.manifest,
            backend=session.backend,
            threads=session.threads,
            warm_up=warm,
            timing=timing,
            baseline_mib=baseline_mib,
            peak_mib=peak_mib,
            harness_overhead_us=overhead_us(request.scenario),
            manifest_sha256=sha256_of(session.path / MANIFEST),
            environment=environment,
            warnings=environment_warnings(environment),
            power=probe.fields(),
        )
    )


def main(open_session: Callable[..., Any] | None = None) -> int:
    """Read a request, answer with events; returns the exit status."""
    # Ctrl-C reaches the whole process group; the parent decides what happens and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _private_stdout()

    def emit(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event, allow_nan=False) + "\n")
        channel.flush()

    try:
        request = Request(**json.loads(sys.stdin.readline()))
        if open_session is None:
            import edgevid

            open_session = edgevid.open
        emit({"event": "result", "result": measure_here(request, open_session, emit)})
    except BrokenPipeError:  # the parent is gone, and nobody wants the result
        return 1
    except (EdgevidError, OSError, MemoryError) as error:
        emit(error_event(error))
        return 1
    return 0


def _private_stdout() -> TextIO:
    """The real standard output, for events alone; whatever a library prints goes to stderr instead."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


def _progress(emit: Emit, progress: Progress) -> None:
    emit({"event": "progress", **asdict(progress)})


def _reporter(emit: Emit, phase: str, total_s: float) -> Callable[[float, list[int]], None]:
    """A report function that sends the running median, at most once per interval."""
    next_s = 0.0

    def report(elapsed_s: float, samples_ns: list[int]) -> None:
        nonlocal next_s
        if elapsed_s < next_s:
            return
        next_s = elapsed_s + REPORT_INTERVAL_NS / 1e9
        p50_ms = median(samples_ns[-RECENT:]) / 1e6
        _progress(emit, Progress(phase, elapsed_s, total_s, p50_ms))

    return report


if __name__ == "__main__":
    sys.exit(main())
