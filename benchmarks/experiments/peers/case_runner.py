"""Run one case: write the files, open every candidate, check its output, and time all of them interleaved."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.experiments.peers.cases import FILES, Candidate, Case
from edgevid.benchmarks.experiments.peers.rounds import measure
from edgevid.benchmarks.experiments.peers.worker_process import (
    EXECUTORCH_WORKER,
    PREPARE,
    WORKER,
    PeerError,
    WorkerProcess,
)
from edgevid.parity import compare

TOLERANCE = 1e-3
WARM_UP_ROUNDS = 2
MIN_TURN_MS = 100.0

NO_EXECUTORCH = "name its interpreter with --executorch-python, or --make-executorch-env DIR"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    pairs: int = 20
    threads: int = 2
    warm_ups: int = WARM_UP_ROUNDS
    min_turn_ms: float = MIN_TURN_MS
    executorch_python: str | None = None


def run_case(case: Case, candidates: Sequence[Candidate], options: Options, log: Log) -> dict[str, Any]:
    """One case of the JSON: every candidate with its samples or its error."""
    with tempfile.TemporaryDirectory(prefix="edgevid-peers-") as name:
        folder = Path(name)
        missing = prepare(case, candidates, options, folder, log)
        expected = {
            network: np.load(folder / f"{network}.expected.npy")
            for network in {candidate.network for candidate in candidates}
        }
        commands = {candidate: command_of(candidate.peer, options) for candidate in candidates}
        result = run_candidates(case, commands, missing, expected, options, folder, log)
    return {"case": asdict(case), **result}


def prepare(
    case: Case, candidates: Sequence[Candidate], options: Options, folder: Path, log: Log
) -> dict[Candidate, str]:
    """Write every file that the candidates open; returns the reason for each whose file cannot be written."""
    missing: dict[Candidate, str] = {}
    errors: dict[tuple[str, str], str | None] = {}
    common = {"folder": str(folder), "case": asdict(case), "threads": options.threads}
    with contextlib.closing(WorkerProcess(PREPARE, options.threads)) as worker:
        log(f"{case}: drawing weights and input, and running eager PyTorch")
        worker.call("draw", **common)
        for candidate in candidates:
            kind, network = FILES.get(candidate.peer), candidate.network
            if candidate.peer == "executorch" and options.executorch_python is None:
                missing[candidate] = f"no environment with executorch: {NO_EXECUTORCH}"
            elif kind and (network, kind) not in errors:
                log(f"{case}: writing {network}.{kind}")
                errors[network, kind] = _error_of(worker, "make", network=network, kind=kind, **common)
            if kind and candidate not in missing and errors[network, kind]:
                missing[candidate] = f"its {kind} file: {errors[network, kind]}"
    lowering = [one for one in candidates if one.peer == "executorch" and one not in missing]
    if lowering:
        try:
            command = command_of("executorch", options)
            with contextlib.closing(WorkerProcess(command, options.threads)) as worker:
                for candidate in lowering:
                    log(f"{case}: lowering {candidate.network} to XNNPACK")
                    error = _error_of(worker, "make", folder=str(folder), network=candidate.network)
                    if error:
                        missing[candidate] = error
        except PeerError as error:
            missing |= dict.fromkeys(lowering, str(error))
    return missing


def run_candidates(
    case: Case,
    commands: Mapping[Candidate, Sequence[str]],
    missing: Mapping[Candidate, str],
    expected: Mapping[str, np.ndarray],
    options: Options,
    folder: Path,
    log: Log,
) -> dict[str, Any]:
    """Open and check each candidate in its own process, then time those that agree with eager PyTorch."""
    rows = {str(one): {"peer": one.peer, "network": one.network, "error": None} for one in commands}
    workers: dict[str, WorkerProcess] = {}
    with contextlib.ExitStack() as stack:
        for candidate, command in commands.items():
            row = rows[str(candidate)]
            log(f"{case}: opening and checking {candidate}")
            try:
                if candidate in missing:
                    raise PeerError(missing[candidate])
                worker = stack.enter_context(contextlib.closing(WorkerProcess(command, options.threads)))
                row |= _open(worker, case, candidate, folder, options.threads)
                row["max_rel"] = _check(worker, expected[candidate.network])
                worker.settle()
                workers[str(candidate)] = worker
            except PeerError as error:
                row["error"] = str(error)
        rounds = measure(
            {name: _turn_of(worker, options.min_turn_ms) for name, worker in workers.items()},
            options.pairs,
            options.warm_ups,
            case.seed,
            lambda done, total: log(f"{case}: round {done + 1} of {total}, {len(workers)} candidates"),
        )
        for name, worker in workers.items():
            rows[name] |= {"peak_mib": worker.peak_mib(), "samples_ms": rounds.samples_ms.get(name)}
            rows[name]["error"] = rounds.failed.get(name)
    return {"orders": rounds.orders, "contestants": list(rows.values())}


def command_of(peer: str, options: Options) -> Sequence[str]:
    if peer == "executorch":
        return (options.executorch_python or "", str(EXECUTORCH_WORKER))
    return WORKER


def _open(
    worker: WorkerProcess, case: Case, candidate: Candidate, folder: Path, threads: int
) -> dict[str, Any]:
    baseline_mib = worker.resident_mib()
    facts = worker.call("open", folder=str(folder), case=asdict(case), threads=threads, **asdict(candidate))
    return {**facts, "baseline_mib": baseline_mib}


def _check(worker: WorkerProcess, expected: np.ndarray) -> float:
    """max|a - b| / max|b|; ``PeerError`` if the output is not eager PyTorch's."""
    result = np.asarray(worker.call("output")["output"])
    if result.shape != expected.shape:
        raise PeerError(f"its output is {result.shape}, eager PyTorch's {expected.shape}")
    measured = compare({"output": result}, {"output": expected}, TOLERANCE)
    if not measured.ok:
        raise PeerError(
            f"does not compute what eager PyTorch does: max|a-b| / max|b| = {measured.max_rel:.1e}"
        )
    return measured.max_rel


def _turn_of(worker: WorkerProcess, min_ms: float) -> Callable[[], list[float]]:
    def turn() -> list[float]:
        samples_ms = worker.call("turn", min_ms=min_ms)["samples_ms"]
        worker.settle()
        return samples_ms

    return turn


def _error_of(worker: WorkerProcess, action: str, **request: Any) -> str | None:
    try:
        worker.call(action, **request)
    except PeerError as error:
        return str(error)
    return None
