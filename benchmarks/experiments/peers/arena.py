"""One case from files to samples: prepare, open every contestant, check its answer, time all in turns."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.experiments.peers.cases import FILES, Case, Contestant
from edgevid.benchmarks.experiments.peers.children import EXECUTORCH_WORKER, PREPARE, WORKER, Child, PeerError
from edgevid.benchmarks.experiments.peers.rounds import measure
from edgevid.parity import compare

TOLERANCE = 1e-3
WARM_UP_ROUNDS = 2
LEAST_TURN_MS = 100.0

NO_EXECUTORCH = "name its interpreter with --executorch-python, or --make-executorch-env DIR"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    pairs: int = 20
    threads: int = 2
    warm_ups: int = WARM_UP_ROUNDS
    least_turn_ms: float = LEAST_TURN_MS
    executorch_python: str | None = None


def run_case(case: Case, competing: Sequence[Contestant], options: Options, say: Say) -> dict[str, Any]:
    """One case of the JSON: what came of every contestant, with its samples or the reason for an error."""
    with tempfile.TemporaryDirectory(prefix="edgevid-peers-") as name:
        folder = Path(name)
        missing = prepare(case, competing, options, folder, say)
        expected = {
            network: np.load(folder / f"{network}.expected.npy")
            for network in {contestant.network for contestant in competing}
        }
        commands = {contestant: command_of(contestant.peer, options) for contestant in competing}
        result = compete(case, commands, missing, expected, options, folder, say)
    return {"case": asdict(case), **result}


def prepare(
    case: Case, competing: Sequence[Contestant], options: Options, folder: Path, say: Say
) -> dict[Contestant, str]:
    """Write every file that is needed; for a contestant whose file cannot be made, the reason."""
    missing: dict[Contestant, str] = {}
    made: dict[tuple[str, str], str | None] = {}
    common = {"folder": str(folder), "case": asdict(case), "threads": options.threads}
    with contextlib.closing(Child(PREPARE, options.threads)) as child:
        say(f"{case}: drawing weights and input, and asking eager PyTorch")
        child.ask("draw", **common)
        for contestant in competing:
            kind, network = FILES.get(contestant.peer), contestant.network
            if contestant.peer == "executorch" and options.executorch_python is None:
                missing[contestant] = f"no environment with executorch: {NO_EXECUTORCH}"
            elif kind and (network, kind) not in made:
                say(f"{case}: writing {network}.{kind}")
                made[network, kind] = _error_of(child, "make", network=network, kind=kind, **common)
            if kind and contestant not in missing and made[network, kind]:
                missing[contestant] = f"its {kind} file: {made[network, kind]}"
    lowering = [one for one in competing if one.peer == "executorch" and one not in missing]
    if lowering:
        try:
            with contextlib.closing(Child(command_of("executorch", options), options.threads)) as child:
                for contestant in lowering:
                    say(f"{case}: lowering {contestant.network} to XNNPACK")
                    error = _error_of(child, "make", folder=str(folder), network=contestant.network)
                    if error:
                        missing[contestant] = error
        except PeerError as error:
            missing |= dict.fromkeys(lowering, str(error))
    return missing


def compete(
    case: Case,
    commands: Mapping[Contestant, Sequence[str]],
    missing: Mapping[Contestant, str],
    expected: Mapping[str, np.ndarray],
    options: Options,
    folder: Path,
    say: Say,
) -> dict[str, Any]:
    """Open and check each contestant in a process of its own, then time those that agree with eager."""
    rows = {str(one): {"peer": one.peer, "network": one.network, "error": None} for one in commands}
    children: dict[str, Child] = {}
    with contextlib.ExitStack() as stack:
        for contestant, command in commands.items():
            row = rows[str(contestant)]
            say(f"{case}: opening and checking {contestant}")
            try:
                if contestant in missing:
                    raise PeerError(missing[contestant])
                child = stack.enter_context(contextlib.closing(Child(command, options.threads)))
                row |= _opened(child, case, contestant, folder, options.threads)
                row["max_rel"] = _checked(child, expected[contestant.network])
                child.settle()
                children[str(contestant)] = child
            except PeerError as error:
                row["error"] = str(error)
        rounds = measure(
            {name: _turn_of(child, options.least_turn_ms) for name, child in children.items()},
            options.pairs,
            options.warm_ups,
            case.seed,
            lambda done, total: say(f"{case}: round {done + 1} of {total}, {len(children)} contestants"),
        )
        for name, child in children.items():
            rows[name] |= {"peak_mib": child.peak_mib(), "samples_ms": rounds.samples_ms.get(name)}
            rows[name]["error"] = rounds.failed.get(name)
    return {"orders": rounds.orders, "contestants": list(rows.values())}


def command_of(peer: str, options: Options) -> Sequence[str]:
    if peer == "executorch":
        return (options.executorch_python or "", str(EXECUTORCH_WORKER))
    return WORKER


def _opened(child: Child, case: Case, contestant: Contestant, folder: Path, threads: int) -> dict[str, Any]:
    baseline_mib = child.resident_mib()
    opened = child.ask("open", folder=str(folder), case=asdict(case), threads=threads, **asdict(contestant))
    return {**opened, "baseline_mib": baseline_mib}


def _checked(child: Child, expected: np.ndarray) -> float:
    """max|a - b| / max|b|; ``PeerError`` if the answer is another one than eager's."""
    got = np.asarray(child.ask("answer")["answer"])
    if got.shape != expected.shape:
        raise PeerError(f"answers {got.shape}, eager PyTorch {expected.shape}")
    measured = compare({"answer": got}, {"answer": expected}, TOLERANCE)
    if not measured.ok:
        raise PeerError(
            f"does not compute what eager PyTorch does: max|a-b| / max|b| = {measured.max_rel:.1e}"
        )
    return measured.max_rel


def _turn_of(child: Child, least_ms: float) -> Callable[[], list[float]]:
    def turn() -> list[float]:
        samples_ms = child.ask("turn", least_ms=least_ms)["samples_ms"]
        child.settle()
        return samples_ms

    return turn


def _error_of(child: Child, do: str, **request: Any) -> str | None:
    try:
        child.ask(do, **request)
    except PeerError as error:
        return str(error)
    return None
