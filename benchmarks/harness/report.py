"""Results as a table for people; ``edgevid bench --json`` keeps everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from edgevid.benchmarks.harness.power import power_line

COLUMNS = (
    "model", "target", "backend", "precision", "scenario", "threads",
    "p50 ms", "p90 ms", "p99 ms", "clips/s", "frames/s", "peak MiB",
)  # fmt: skip
TEXT_COLUMNS = 5
"""The first columns, which are aligned to the left; the others are numbers."""
UNREAD = "not read"


def table(results: Sequence[dict[str, Any]]) -> str:
    """The numbers, what each scenario found, the observed device, why there is no power, and each warning."""
    from tabulate import tabulate

    rows = [row(result) for result in results]
    alignment = ["left"] * TEXT_COLUMNS + ["right"] * (len(COLUMNS) - TEXT_COLUMNS)
    lines = [tabulate(rows, COLUMNS, colalign=alignment, disable_numparse=True), ""]
    for result in results:
        lines += [f"{result['model']} {line}" for line in scenario_lines(result)]
    lines += notes(results)
    for result in results:
        name = f"{result['model']} {result['scenario']}"
        lines += [f"warning: {name}: {warning}" for warning in result["warnings"]]
    return "\n".join(lines)


def notes(results: Sequence[dict[str, Any]]) -> list[str]:
    """What holds for all results: the observed device, the power, and how to read the numbers."""
    lines = []
    if any(bound is not None for result in results for bound in _bounds(result).values()):
        lines.append("(≤ x): the percentile is at most x with 99 % confidence")
    for device in _unique(result["environment"]["device"] for result in results):
        lines.append(f"device observed: {device}")
    lines += _unique(power_line(result) for result in results)
    for model in _unique(result["model"] for result in results if result["streaming"]):
        lines.append(f"streaming: an inference of {model} is one pushed frame, not a clip")
    if any(result["weights"]["random"] for result in results):
        lines.append("weights: random, which does not affect times, but predictions are meaningless")
    return lines


def row(result: dict[str, Any]) -> tuple[str, ...]:
    latency_ms, bounds, throughput = result["latency_ms"], _bounds(result), result["throughput"]
    return (
        *(str(result[key]) for key in ("model", "target", "backend", "precision", "scenario", "threads")),
        *(_percentile(latency_ms[key], bounds.get(key)) for key in ("p50", "p90", "p99")),
        f"{throughput['clips_per_s']:.4g}",
        f"{throughput['frames_per_s']:.4g}",
        UNREAD if result["memory_mib"]["peak"] is None else f"{result['memory_mib']['peak']:.4g}",
    )


def _percentile(value: float, bound: float | None) -> str:
    return f"{value:.4g}" if bound is None else f"{value:.4g} (≤ {bound:.4g})"


def _bounds(result: dict[str, Any]) -> dict[str, float | None]:
    return result.get("latency_bounds_ms") or {}


def scenario_lines(result: dict[str, Any]) -> Iterable[str]:
    """What a scenario found besides latencies, and where the memory goes."""
    if server := result.get("server"):
        yield f"server: {_server(server)}"
    if camera := result.get("camera"):
        yield f"camera: {_camera(camera)}"
    if sustained := result.get("sustained"):
        yield f"sustained: {_sustained(sustained)}"
    memory = result["memory_mib"]
    if memory.get("network") is not None:
        yield (
            f"{result['scenario']}: {memory['network']:.3g} MiB of the peak are above the idle runner; "
            f"weights {memory['weights']:.3g} MiB, activations {memory['activations']:.3g} MiB, states "
            f"{memory['states']:.3g} MiB"
        )


def _server(server: dict[str, Any]) -> str:
    rate = server["rate_per_s"]
    rates = "no rate keeps" if rate is None else f"up to {rate:.4g} queries/s keep"
    return f"{rates} a p99 of {server['latency_bound_ms']:.4g} ms ({len(server['trials'])} rates tried)"


def _camera(camera: dict[str, Any]) -> str:
    stages = ", ".join(f"{stage} {ms:.3g}" for stage, ms in camera["stage_ms_per_frame"].items())
    cameras = "1 camera" if camera["streams"] == 1 else f"{camera['streams']} cameras"
    return (
        f"{cameras} at {camera['fps']:.4g} frames/s, {camera['missed']} of {camera['arrived']} frames missed "
        f"the {camera['deadline_ms']:.4g} ms deadline ({camera['dropped']} dropped, {camera['late']} late); "
        f"ms per frame: {stages}"
    )


def _sustained(sustained: dict[str, Any]) -> str:
    if sustained["first_p50_ms"] is None:
        return "too short to tell: raise --duration"
    after_s = sustained["throttled_after_s"]
    end = "it did not throttle" if after_s is None else f"it throttled after {after_s:.0f} s"
    return (
        f"p50 {sustained['first_p50_ms']:.4g} ms in the beginning and {sustained['steady_p50_ms']:.4g} ms in "
        f"the last third: {end}"
    )


def _unique(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))
