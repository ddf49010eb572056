"""One result of ``edgevid bench --json``, built from a worker's measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.harness.power import power_fields
from edgevid.benchmarks.harness.protocol import Request
from edgevid.benchmarks.harness.scenarios.scenario import Timing
from edgevid.benchmarks.harness.statistics import bounds_ms, stability_warnings, summary
from edgevid.benchmarks.harness.warmup import WarmUp
from edgevid.host.processor import architecture
from edgevid.specs import LOCAL, Manifest, Target

SCHEMA = 1
OVERHEAD_LIMIT_US = 20.0


@dataclass(frozen=True)
class Measured:
    """A worker's measurement; sizes in MiB, the harness's overhead in microseconds per inference.

    ``step_includes`` names the parts of the work in one step of the session.
    ``power`` holds the fields of the power probe, in watts.
    """

    request: Request
    manifest: Manifest
    target: Target | None
    backend: str
    threads: int
    warm_up: WarmUp
    timing: Timing
    step_includes: tuple[str, ...]
    memory_mib: dict[str, Any]
    harness_overhead_us: float | None
    manifest_sha256: str
    environment: dict[str, Any]
    warnings: list[str]
    power: Mapping[str, Any]


def document(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The document that ``--json`` writes."""
    return {"schema": SCHEMA, "results": results}


def result_of(measured: Measured) -> dict[str, Any]:
    """The record of one measurement: JSON values only, raw samples included.

    ``target`` is the device that the bundle was exported for, ``environment`` the observed device;
    ``backend`` is the backend that ran, ``bundle_backend`` the bundle's. ``bundle_sha256`` is the hash of
    manifest.json, which lists the hash of every other file.
    """
    manifest, timing = measured.manifest, measured.timing
    speed = throughput(manifest, timing)
    return {
        "model": manifest.model,
        "target": manifest.target,
        "backend": measured.backend,
        "bundle_backend": manifest.backend,
        "precision": manifest.precision,
        "scenario": measured.request.scenario,
        "threads": measured.threads,
        "streaming": manifest.streaming,
        "frames": manifest.frames,
        "latency_ms": summary(timing.samples_ms),
        "latency_bounds_ms": bounds_ms(timing.samples_ms),
        "latency_includes": _includes(measured),
        "throughput": speed,
        "memory_mib": measured.memory_mib,
        **power_fields(
            measured.power,
            speed["clips_per_s"] * timing.elapsed_s,
            speed["frames_per_s"] * timing.elapsed_s,
            timing.elapsed_s,
        ),
        "harness_overhead_us": measured.harness_overhead_us,
        "warnings": _warnings(measured),
        "weights": {"source": manifest.weights.source, "random": not manifest.weights.sha256},
        "bundle": measured.request.bundle,
        "bundle_sha256": measured.manifest_sha256,
        "duration_s": timing.elapsed_s,
        **timing.details,
        "environment": measured.environment,
        "samples_ms": timing.samples_ms,
        "warmup_ms": measured.warm_up.samples_ms,
    }


def throughput(manifest: Manifest, timing: Timing) -> dict[str, float]:
    """Clips and frames per second, over the wall time of the run.

    One inference is a clip of ``manifest.frames`` frames, or, for a streaming bundle, one pushed frame.
    """
    per_s = timing.inferences_per_s
    if manifest.streaming:
        return {"clips_per_s": per_s / manifest.frames, "frames_per_s": per_s}
    return {"clips_per_s": per_s, "frames_per_s": per_s * manifest.frames}


def _includes(measured: Measured) -> list[str]:
    """The parts of a sample: those of the scenario, with the inference's own parts in its place."""
    parts: list[str] = []
    for part in measured.timing.includes:
        parts += measured.step_includes if part == "inference" else [part]
    return parts


def _warnings(measured: Measured) -> list[str]:
    warnings = [
        *measured.warnings,
        *_device_warnings(measured),
        *measured.warm_up.warnings(),
        *measured.timing.warnings,
        *measured.power.get("warnings", []),
        *stability_warnings(measured.timing.samples_ms),
    ]
    if (measured.harness_overhead_us or 0) > OVERHEAD_LIMIT_US:
        warnings.append(
            f"the harness itself took {measured.harness_overhead_us:.0f} us per inference, more than "
            f"{OVERHEAD_LIMIT_US:.0f} us: stop other programs, and measure again"
        )
    if measured.memory_mib["peak"] is None:
        where = "this system" if measured.request.device == LOCAL else "the board"
        warnings.append(f"{where} does not report the peak memory of a process: memory_mib.peak is null")
    return warnings


def _device_warnings(measured: Measured) -> list[str]:
    """A warning if the bundle ran on another backend or architecture than it was exported for."""
    manifest, observed = measured.manifest, measured.environment["cpu"]["architecture"]
    expected = measured.target.architecture if measured.target else "any"
    differences = []
    if measured.backend != manifest.backend:
        differences.append(f"ran on {measured.backend} instead of {manifest.backend}")
    if expected not in ("any", architecture(observed)):
        differences.append(f"ran on {observed} instead of {expected}")
    if not differences:
        return []
    return [
        f"these are not the times of {manifest.target}: the bundle {' and '.join(differences)}; "
        "run 'edgevid bench' on the device itself"
    ]
