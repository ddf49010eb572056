"""Start a worker for one measurement, follow its progress, and return its result or a clear error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.process import SILENCE_LIMIT_S, WorkerProcess, progress_of
from edgevid.benchmarks.harness.protocol import Progress, Request, Settings
from edgevid.benchmarks.harness.scenarios import scenario_named
from edgevid.specs import LOCAL

DEFAULTS = Settings()


def measure(
    bundle: str | Path,
    scenario: str = "single-stream",
    duration_s: float | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    worker: Sequence[str] | None = None,
    silence_limit_s: float = SILENCE_LIMIT_S,
    device: str = LOCAL,
    settings: Settings = DEFAULTS,
    pinned: bool = True,
    power: str | None = None,
    profile: bool = False,
) -> dict[str, Any]:
    """Measure ``bundle`` for ``duration_s`` seconds, or as long as the scenario takes by default, in a fresh
    process; returns one result.

    ``device`` is "local" or the address of a board, ``power`` what to measure power with
    (``probes.power_probe``); with ``profile`` the result says where the time goes. ``progress`` is called
    with each ``Progress`` of the worker. ``worker`` is the command of a process that implements ``protocol``.
    Raises ``BenchmarkError`` if the worker sends nothing for ``silence_limit_s`` seconds, dies, or ends
    without a result, and the worker's own ``EdgevidError`` if it reports one. The worker has always ended
    when this function returns or raises.
    """
    duration_s = duration_s or scenario_named(scenario).duration_s
    request = Request(str(bundle), scenario, duration_s, threads, device, settings, pinned, power, profile)
    with WorkerProcess(request, worker, silence_limit_s) as process:
        for event in process.events():
            if event["event"] == "result":
                break
            if progress is not None:
                progress(progress_of(event))
    return event["result"]
