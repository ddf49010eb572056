"""A baseline that a repository keeps in a file: the reference bundle, what was accepted of it, and why.

The file has no times. Those of another session tell nothing on a machine that drifts, so the reference is
measured again, in pairs with the candidate. Where it cannot be found, what needs no run is compared alone.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevid.benchmarks.regress.metrics import (
    FACTS,
    IMPROVEMENT,
    PASS,
    REGRESSION,
    facts_between,
    growth,
    values_of,
)
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError, BundleError
from edgevid.host.environment import observe
from edgevid.host.files import atomic_write
from edgevid.specs.records import decode, matches, one_of, parse

SUFFIX = ".json"
SCHEMA = 1
ENVIRONMENT = ("device", "os", "kernel", "date_utc")
COUNTED_PACKAGES = ("onnxruntime", "numpy", "apache-tvm")
"""Their code is counted too."""


@dataclass(frozen=True)
class Acceptance:
    """Why a bundle became the reference, and its ``values``: those that do not depend on the machine."""

    reason: str
    bundle_sha256: str
    values: dict[str, float]
    environment: dict[str, str]
    commit: str | None = None


@dataclass(frozen=True)
class Baseline:
    """``bundle`` is the reference's path from the folder of the file; the last of ``accepted`` holds."""

    model: str
    bundle: str
    accepted: tuple[Acceptance, ...]
    schema: int = SCHEMA

    @property
    def current(self) -> Acceptance:
        return self.accepted[-1]


RULES = {
    Baseline: {"schema": one_of(SCHEMA)},
    Acceptance: {"bundle_sha256": matches("[0-9a-f]{64}", "a SHA-256")},
}


def is_file(name: str) -> bool:
    """Whether ``--baseline`` names a file of this kind, and no bundle."""
    return name.endswith(SUFFIX) and not Path(name).is_dir()


def read(path: Path) -> Baseline:
    """``BenchmarkError`` if it is missing, or not such a file."""
    try:
        baseline = decode(Baseline, parse(path.read_bytes()), RULES)
        if not baseline.accepted:
            raise ValueError("accepted is empty")
        if missing := set(FACTS) - set(baseline.current.values):
            raise ValueError(f"accepted[-1].values.{min(missing)} is missing")
    except FileNotFoundError:
        raise BenchmarkError(
            f"there is no baseline '{path}': write it with --update-baseline REASON"
        ) from None
    except (OSError, ValueError) as error:
        raise BenchmarkError(
            f"'{path}' is no baseline ({error}): write it anew with --update-baseline REASON"
        ) from None
    return baseline


def reference_of(path: Path, baseline: Baseline, given: str | None) -> tuple[str | None, str]:
    """The bundle to measure: ``given``, or where the file says; None with the reason if it is not there.

    Raises ``BenchmarkError`` if the bundle that is ``given`` is another one.
    """
    expected = baseline.current.bundle_sha256
    folder = path.parent / baseline.bundle if given is None else Path(given)
    try:
        bundle = Bundle.open(folder)
    except BundleError:
        if given is not None:
            raise
        return (
            None,
            f"the reference '{folder}' was not found, so times were not compared: pass --reference BUNDLE",
        )
    if bundle.sha256 == expected:
        return str(folder), ""
    if given is None:
        return (
            None,
            f"'{folder}' is not the accepted reference, so times were not compared: pass --reference BUNDLE",
        )
    raise BenchmarkError(
        f"'{given}' is not the reference that '{path}' names (SHA-256 {expected[:12]}...): pass that one, or "
        "accept another with --update-baseline REASON"
    )


def compare(
    path: Path,
    baseline: Baseline,
    candidate: str,
    threshold: float,
    why: str,
    counted: Mapping[str, float] | None = None,
    counted_threshold: float = 0.005,
) -> dict[str, Any]:
    """The document of ``edgevid regress --json`` without the reference: what is exact, and ``why``.

    Of the values that were ``counted`` of the candidate, those are compared that the file has too, if they
    were counted with the same versions.
    """
    bundle = Bundle.open(candidate)
    _require_model(path, baseline, bundle)
    tolerance = bundle.manifest.parity.tolerance
    accepted, environment = baseline.current, observe()
    metrics = facts_between(accepted.values, values_of(bundle), tolerance, threshold)
    both = [name for name in counted or {} if name in accepted.values]
    versions = _versions(environment)
    if changed := [name for name in versions if versions[name] != accepted.environment.get(name)]:
        why += f"; nor {', '.join(both)}, which depend on {', '.join(changed)}" if both else ""
    else:
        metrics += [
            growth(name, accepted.values[name], (counted or {})[name], counted_threshold) for name in both
        ]
    verdicts = {metric["verdict"] for metric in metrics}
    return {
        "verdict": next((kind for kind in (REGRESSION, IMPROVEMENT) if kind in verdicts), PASS),
        "threshold": threshold,
        "pairs": 0,
        "discarded_pairs": 0,
        "seconds": 0.0,
        "threads": None,
        "why": why,
        "metrics": metrics,
        "baseline": {
            "bundle": str(path), "bundle_sha256": baseline.current.bundle_sha256, "model": baseline.model
        },
        "candidate": {"bundle": candidate, "bundle_sha256": bundle.sha256, "model": bundle.manifest.model},
        "environment": environment,
    }  # fmt: skip


def accept(
    path: Path, candidate: str, reason: str, commit: str | None, others: Mapping[str, float] | None = None
) -> Baseline:
    """Make ``candidate`` the reference in the file, for a ``reason``; earlier reasons stay in it.

    ``others`` are values beside those that the bundle itself has. ``BenchmarkError`` without a reason.
    """
    require_reason(reason)
    bundle = Bundle.open(candidate)
    before: tuple[Acceptance, ...] = ()
    if path.exists():
        baseline = read(path)
        _require_model(path, baseline, bundle)
        before = baseline.accepted
    environment = observe()
    acceptance = Acceptance(
        " ".join(reason.split()),
        bundle.sha256,
        {**values_of(bundle), **(others or {})},
        {**{key: environment[key] for key in ENVIRONMENT}, **_versions(environment)},
        commit,
    )
    place = Path(os.path.relpath(bundle.path, path.parent)).as_posix()
    baseline = Baseline(bundle.manifest.model, place, (*before, acceptance))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, (json.dumps(dataclasses.asdict(baseline), indent=1) + "\n").encode())
    except OSError as error:
        raise BenchmarkError(
            f"cannot write '{path}' ({error.strerror}): choose a file in a folder that you can write to"
        ) from error
    return baseline


def require_reason(reason: str) -> None:
    if not reason.strip():
        raise BenchmarkError("--update-baseline needs a reason: say in a sentence why this is accepted")


def _versions(environment: dict[str, Any]) -> dict[str, str]:
    packages = {name: environment["packages"].get(name, "none") for name in COUNTED_PACKAGES}
    return {"python": environment["python"], **packages}


def _require_model(path: Path, baseline: Baseline, bundle: Bundle) -> None:
    if bundle.manifest.model != baseline.model:
        raise BenchmarkError(
            f"'{path}' is the baseline of {baseline.model}, and '{bundle.path}' is {bundle.manifest.model}: "
            "use a baseline of its own for each network"
        )
