"""The result of a board that timed a bundle with trtexec, from what its program brought back."""

from __future__ import annotations

from typing import Any

from edgevid.benchmarks.harness.memory import unread_memory
from edgevid.benchmarks.harness.protocol import Request
from edgevid.benchmarks.harness.result import Measured, result_of
from edgevid.benchmarks.harness.scenarios.scenario import Timing
from edgevid.benchmarks.harness.warmup import WarmUp
from edgevid.bundle.manifest import RULES
from edgevid.errors import BenchmarkError
from edgevid.host.probes import NullProbe
from edgevid.specs import Manifest, records

SERIES = {"single-stream": "latency_ms", "offline": "interval_ms"}
"""What of trtexec's times is a sample of a scenario; others need edgevid's runner."""
INCLUDES = ("transfers", "inference")
WHY_NO_POWER = "trtexec measures no power: install edgevid's runner on the board"
UNREAD = "edgevid's runner is not on the board, and its Python has no packages"
UNOBSERVED = ("device", "gpus", "power_mode", "busy_percent", "packages", "edgevid", "thread_variables")


def refuse_what_it_cannot(request: Request, install: str) -> None:
    if request.power not in (None, "none"):
        raise BenchmarkError(f"--power {request.power}: {WHY_NO_POWER} ({install})")
    if request.scenario not in SERIES:
        name = request.scenario
        raise BenchmarkError(
            f"trtexec alone cannot measure scenario '{name}': use --scenario {' or '.join(SERIES)}, or let "
            f"the board have the packages of edgevid's runner ({install})"
        )


def measured_by_trtexec(request: Request, event: dict[str, Any]) -> dict[str, Any]:
    """The result of ``edgevid bench``; raises ``BenchmarkError`` if nothing was timed."""
    manifest = records.decode(Manifest, event["manifest"], RULES)
    samples = event["times"][SERIES[request.scenario]]
    timing = Timing([round(sample * 1e6) for sample in samples], event["times"]["elapsed_s"])
    measured = Measured(
        request=request,
        manifest=manifest,
        target=None,  # what has trtexec is a GPU's device
        backend=manifest.backend,
        threads=1,
        warm_up=WarmUp([], True, event["warm_up_s"]),
        timing=timing,
        step_includes=INCLUDES,
        memory_mib=unread_memory(manifest, UNREAD),
        harness_overhead_us=0.0,  # nothing of edgevid runs between two inferences
        manifest_sha256=event["bundle_sha256"],
        environment=_environment(event),
        warnings=[],
        power=NullProbe(WHY_NO_POWER).fields(),
    )
    return {**result_of(measured), "timed_by": "trtexec"}


def _environment(event: dict[str, Any]) -> dict[str, Any]:
    observed = event["environment"]
    cpu = observed["cpu"]
    label = f"{observed['board'] or cpu['model']} ({cpu['architecture']}, {cpu['usable_cores']} cores)"
    missing = dict.fromkeys(UNOBSERVED)
    unread = {key: UNREAD for key, value in {**missing, **observed}.items() if value is None}
    return {
        **missing,
        **observed,
        "device": label,
        "packages": {"tensorrt": event["tensorrt"]},
        "not_read": unread,
    }
