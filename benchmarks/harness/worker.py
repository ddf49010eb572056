"""The process that runs one measurement: ``python -m edgevid.benchmarks.harness.worker``.

Each measurement has a fresh process, so that no thread pool or memory arena of an earlier one is left, and
the peak memory belongs to this bundle alone. Its input and output are described in ``protocol``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from edgevid.benchmarks.devices import device_at, is_device
from edgevid.benchmarks.harness.measurement import Emit, Timer, emit_progress, measure
from edgevid.benchmarks.harness.memory import MemoryMeter, import_runtime
from edgevid.benchmarks.harness.protocol import Progress, Request, error_event
from edgevid.benchmarks.harness.remote import measure_remote
from edgevid.benchmarks.harness.scenarios import overhead_us, scenario_named
from edgevid.errors import EdgevidError
from edgevid.host.affinity import allowed, pin
from edgevid.host.environment import observe
from edgevid.host.lifetime import end_with_parent
from edgevid.host.noise import NoiseMonitor
from edgevid.host.probes import power_probe
from edgevid.host.processor import usable_cores
from edgevid.specs import LOCAL

PROFILE_S = 10.0
"""Layers need no longer, as their number of runs is limited."""
NOT_THERE = "what runs on the board does not time single layers"
NOT_OVER_RPC = "the layers of a bundle on a board over RPC are not timed: run 'edgevid bench --profile' there"


def measure_request(request: Request, open_session: Callable[..., Any], emit: Emit) -> dict[str, Any]:
    """Open the bundle here or on the board at ``request.device``, and measure; returns the result.

    ``open_session(path, threads=...)`` is ``edgevid.open`` or a fake.
    """
    if is_device(request.device):
        with device_at(request.device) as device:
            result = device.run(request, emit)
        return {"profile": {"why_not": NOT_THERE}} | result if request.profile else result
    if request.device != LOCAL:
        result = measure_remote(request, open_session, emit)
        return result | {"profile": {"why_not": NOT_OVER_RPC}} if request.profile else result
    scenario = scenario_named(request.scenario)
    emit_progress(emit, Progress("opening"))
    environment = observe()
    import_runtime(request.bundle)
    pinned_to, cores = None, allowed()
    if request.pinned and not scenario.shares_cores:
        pinned_to = pin(request.threads or usable_cores())
    memory = MemoryMeter()
    session = open_session(request.bundle, threads=request.threads, shares_cores=scenario.shares_cores)
    step = session.prepare()
    memory.opened()
    probe = power_probe(session.target.power if session.target else None, request.power)
    timer = Timer(
        step,
        time.perf_counter_ns,
        probe,
        memory,
        NoiseMonitor(cores=pinned_to),
        overhead_us,
        new_step=session.prepare,
        pinned_to=pinned_to,
        turns=sys.stdin if request.in_turns else None,
    )
    result = measure(request, session, timer, environment, emit)
    if request.profile:
        from edgevid.benchmarks.profile import profile

        def report(phase: str) -> None:
            emit_progress(emit, Progress(phase))

        seconds, video = min(request.duration_s, PROFILE_S), request.settings.video
        result |= {"profile": profile.measure(session, seconds, video, open_session, report, cores)}
    return result


def main(open_session: Callable[..., Any] | None = None) -> int:
    """Read a request, reply with events; returns the exit status."""
    end_with_parent()
    # Ctrl-C reaches the whole process group; the parent handles it and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _private_stdout()

    def emit(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event, allow_nan=False) + "\n")
        channel.flush()

    try:
        request = Request.from_json(sys.stdin.readline())
        if open_session is None:
            import edgevid

            open_session = edgevid.open
        emit({"event": "result", "result": measure_request(request, open_session, emit)})
    except BrokenPipeError:  # the parent is gone
        return 1
    except (EdgevidError, OSError, MemoryError) as error:
        emit(error_event(error))
        return 1
    return 0


def _private_stdout() -> TextIO:
    """The real standard output, for events only; what libraries print goes to stderr."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return channel


if __name__ == "__main__":
    sys.exit(main())
