"""The profile of an open bundle: layers against the machine's limits, and the stages of a video.

The model runs in two sessions in turn, in blocks: one as it is, one with the runtime's profiler. So both see
the same load of the machine, and their difference is what profiling adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from edgevid.benchmarks.profile import roofline, stages, trace
from edgevid.errors import BackendError, EdgevidError
from edgevid.host.affinity import pinned_to

WARM_UP_RUNS, BLOCKS = 5, 5
MIN_RUNS, MAX_RUNS = 20, 100
"""Runs with the profiler, at most as many as fit into the duration."""
REST_S = 0.005
"""Between blocks, as a session's threads look for work for a while and would take the other's cores."""
BYTES_ARE = (
    "each element that a layer must read or write counts once, weights too, from caches or from memory; the "
    "rate for as many bytes is measured on buffers used again and again, so in the caches if they fit"
)

Step = Callable[[], None]


def measure(
    session: Any,
    duration_s: float,
    video: str | Path | None,
    open_session: Callable[..., Any],
    report: Callable[[str], None] = lambda phase: None,
    cores: Sequence[int] = (),
) -> dict[str, Any]:
    """The profile of ``session``, whose layers are timed for ``duration_s`` seconds; JSON values only.

    ``trace`` is a Chrome trace of both. ``why_not`` says why there are no ``layers``, ``why_no_stages`` why
    there are no ``stages``. ``open_session(path, threads=..., shares_cores=True)`` opens the bundle for the
    stages, which are those of ``video``, or else of a short video that is made here. ``report`` is called
    with each phase. ``cores`` are those of the stages, where the process is pinned to fewer.
    """
    try:
        result = layers_of(session, duration_s, report)
    except BackendError as error:
        result = {"why_not": str(error)}
    report("profiling the stages of a video")
    try:
        with pinned_to(cores):
            found, spans_ms = stages.measure(session, video, open_session)
    except (EdgevidError, OSError) as error:
        return {"trace": []} | result | {"stages": None, "why_no_stages": str(error)}
    events = trace.of_stages(spans_ms) + result.get("trace", [])
    return result | {"stages": found, "trace": events}


def layers_of(session: Any, duration_s: float, report: Callable[[str], None]) -> dict[str, Any]:
    """Layers with their times, costs and bounds; ``BackendError`` if the backend cannot time them."""
    report("profiling layers")
    profiled, finish = session.profiler()
    plain = session.prepare()
    for step in (plain, profiled) * WARM_UP_RUNS:
        step()
    start_ns = time.perf_counter_ns()
    _timed(profiled)
    estimate_s = max((time.perf_counter_ns() - start_ns) / 1e9, 1e-6)
    runs = int(min(MAX_RUNS, max(MIN_RUNS, duration_s / 2 / estimate_s))) // BLOCKS * BLOCKS
    plain_ms, profiled_ms = _in_turn(plain, profiled, runs // BLOCKS)
    # Each block begins with a run that wakes the threads and is not counted.
    profile = finish(WARM_UP_RUNS + 1)
    kept = [i for i in range(len(profile.runs_ms)) if i % (runs // BLOCKS + 1)]
    report("measuring the roofline")
    arithmetic = {layer.arithmetic for layer in profile.layers}
    limits = roofline.measure(session.threads, with_int8="int8" in arithmetic)
    layers = [_layer(layer, kept, limits) for layer in profile.layers]
    total_ms = sum(layer["time_ms"] for layer in layers)
    sums_ms = [sum(times) for times in zip(*(layer["samples_ms"] for layer in layers))]
    for layer in layers:
        layer["share"] = layer["time_ms"] / total_ms if total_ms else 0.0
    unprofiled, with_profiler = median(plain_ms), median(profiled_ms)
    return {
        "runs": len(kept),
        "latency_ms": {
            "unprofiled": unprofiled,
            "profiled": with_profiler,
            "layers": total_ms,
            "layers_of_a_run": median(sums_ms),
            "profiling_adds": with_profiler - unprofiled,
        },
        "samples_ms": {"unprofiled": plain_ms, "profiled": profiled_ms},
        "macs": total_of(layers, "macs"),
        "bytes_are": BYTES_ARE,
        "roofline": limits.fields(),
        "layers": layers,
        "trace": trace.of_layers(
            [(layer, [times.spans_ms[i] for i in kept]) for layer, times in zip(layers, profile.layers)],
            [profile.runs_ms[i] for i in kept],
        ),
        "not_run": dict(profile.not_run),
        "fallbacks": [
            {"name": op.name, "op": op.op_type, "why": op.reason}
            for op in session.op_coverage
            if op.kernel is None
        ],
    }


def total_of(layers: Sequence[dict[str, Any]], key: str) -> int | None:
    """The sum over the layers; None if one of them does not know."""
    values = [layer[key] for layer in layers]
    return None if None in values else sum(values)


def _in_turn(plain: Step, profiled: Step, block: int) -> tuple[list[float], list[float]]:
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(BLOCKS):
        for step, times in zip((plain, profiled), samples):
            time.sleep(REST_S)
            step()
            times += [_timed(step) for _ in range(block)]
    return samples


def _timed(step: Step) -> float:
    start = time.perf_counter_ns()
    step()
    return (time.perf_counter_ns() - start) / 1e6


def _layer(layer: Any, kept: list[int], limits: roofline.Limits) -> dict[str, Any]:
    samples = [layer.samples_ms[i] for i in kept]
    time_ms = median(samples)
    moved = layer.read_bytes + layer.written_bytes
    bound_ms, bound = limits.bound(
        layer.executed_macs, layer.arithmetic, layer.read_bytes, layer.written_bytes
    )
    return {
        "name": layer.name,
        "op": layer.op,
        "provider": layer.provider,
        "ran_by": layer.ran_by,
        "nodes": list(layer.nodes),
        "time_ms": time_ms,
        "share": 0.0,
        "macs": layer.macs,
        "executed_macs": layer.executed_macs,
        "arithmetic": layer.arithmetic,
        "bytes": moved,
        "read_bytes": layer.read_bytes,
        "written_bytes": layer.written_bytes,
        "gflop_s": 2 * layer.macs / time_ms / 1e6 if layer.macs and time_ms else None,
        "gb_s": moved / time_ms / 1e6 if moved and time_ms else None,
        "bound": bound,
        "bound_ms": bound_ms,
        "roofline": bound_ms / time_ms if bound and time_ms else None,
        "samples_ms": samples,
    }
