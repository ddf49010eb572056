"""Results as a table for people; ``edgevid bench --json`` keeps everything."""

from __future__ import annotations

from typing import Any

COLUMNS = (
    "model", "target", "backend", "precision", "scenario", "threads",
    "p50 ms", "p90 ms", "p99 ms", "clips/s", "frames/s", "peak MiB",
)  # fmt: skip


def table(results: list[dict[str, Any]]) -> str:
    """The numbers, then the observed device, the reason for missing power, and each warning once."""
    from tabulate import tabulate

    rows = [_row(result) for result in results]
    lines = [tabulate(rows, COLUMNS, floatfmt=".4g", missingval="not read"), ""]
    for device in _unique(result["environment"]["device"] for result in results):
        lines.append(f"device observed: {device}")
    for reason in _unique(result["why_no_power"] for result in results if result["power_w"] is None):
        lines.append(f"power: not measured, {reason}")
    for model in _unique(result["model"] for result in results if result["streaming"]):
        lines.append(f"streaming: an inference of {model} is one pushed frame, not a clip")
    if any(result["weights"]["random"] for result in results):
        lines.append("weights: random, which does not affect times, but predictions are meaningless")
    for result in results:
        name = f"{result['model']} {result['scenario']}"
        lines += [f"warning: {name}: {warning}" for warning in result["warnings"]]
    return "\n".join(lines)


def _row(result: dict[str, Any]) -> tuple[Any, ...]:
    latency_ms, throughput = result["latency_ms"], result["throughput"]
    return (
        *(result[key] for key in ("model", "target", "backend", "precision", "scenario", "threads")),
        *(latency_ms[key] for key in ("p50", "p90", "p99")),
        throughput["clips_per_s"],
        throughput["frames_per_s"],
        result["memory_mib"]["peak"],
    )


def _unique(lines: Any) -> list[str]:
    return list(dict.fromkeys(lines))
