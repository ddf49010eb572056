"""``edgevid bench``: measure bundles, or networks by name, on this machine."""

from __future__ import annotations

import contextlib
import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.cli import INTERRUPTED
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL

DEFAULT_TARGET = "cpu"
DEFAULT_SCENARIOS = " and ".join(item.name for item in SCENARIOS.values() if item.by_default)


@dataclass(frozen=True)
class Subject:
    """What to measure: a bundle's folder, or the name of a network, which is exported first."""

    name: str
    is_model: bool


@click.command()
@click.argument("subjects", nargs=-1, metavar="BUNDLE|MODEL ...")
@click.option("--target", help="Device to export a MODEL for.  [default: cpu]")
@click.option(
    "--device",
    default=LOCAL,
    show_default=True,
    help="Where to run: 'local', ssh://USER@HOST, adb://SERIAL, or rpc://HOST:PORT/KEY (TVM's tracker).",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    help=f"{' or '.join(SCENARIOS)} (edgevid list scenarios); repeatable.  [default: {DEFAULT_SCENARIOS}]",
)
@click.option("--duration", type=float, default=10.0, show_default=True, help="Seconds of each measurement.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to run on.  [default: the backend's]")
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    metavar="FILE",
    help="Save results to FILE after each measurement; without FILE (last option, or '-') print only JSON.",
)
def command(
    subjects: tuple[str, ...],
    target: str | None,
    device: str,
    scenarios: tuple[str, ...],
    duration: float,
    threads: int | None,
    json_to: str | None,
) -> int:
    """Measure latency, throughput and memory of each BUNDLE or MODEL, each in a fresh process."""
    from edgevid.benchmarks.harness.scenarios import scenario_named
    from edgevid.benchmarks.harness.store import ResultFile

    # Check the whole request before spending time on a measurement.
    _refuse_swallowed_subject(subjects, json_to)
    for scenario in scenarios:
        scenario_named(scenario)
    available = _scenarios_on(device, scenarios)
    if not (math.isfinite(duration) and duration > 0):
        raise BenchmarkError(
            f"--duration {duration:g} is not a positive number of seconds: use, for example, --duration 10"
        )
    selection = tuple(dict.fromkeys(scenarios)) or tuple(
        name for name in available if SCENARIOS[name].by_default
    )
    targets = [_find(name) for name in subjects]
    _check_target(targets, target)
    store = ResultFile(Path(json_to)) if json_to not in (None, "-") else None

    results: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="edgevid-bench-") as workplace:
            for number, subject in enumerate(targets):
                bundle = _bundle_of(subject, target, device, Path(workplace) / str(number))
                for scenario in selection:
                    results.append(_measure(subject, bundle, scenario, duration, threads, device))
                    if store is not None:
                        store.save(results)
    except KeyboardInterrupt:
        click.echo(
            f"edgevid: interrupted after {len(results)} measurement(s){_saved(store, results)}", err=True
        )
        return INTERRUPTED
    finally:
        _print(results, json_to)
    return 0


def _scenarios_on(device: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The scenarios of ``device``; ``BenchmarkError`` for a wrong device or unsupported ``names``."""
    from edgevid.backends import board_addresses
    from edgevid.benchmarks.devices import FORMS, device_at, is_device
    from edgevid.benchmarks.harness import remote, scenarios

    if is_device(device):
        device_at(device)  # refuses what is no address
    if device == LOCAL or is_device(device):
        return scenarios.scenarios_for()
    if _board_backend(device) is None:
        raise BenchmarkError(
            f"cannot measure on device '{device}': use --device {LOCAL}, {FORMS}, or "
            f"--device {board_addresses()} for a board over TVM's RPC"
        )
    remote.refuse_other_scenarios(*names)
    return scenarios.scenarios_for(remote.OFFERS)


def _board_backend(device: str) -> str | None:
    """The backend that exports must use to run at ``device``; None for this machine."""
    from edgevid.backends import board_backend

    backend = board_backend(device)
    return None if backend is None else backend.name


def _refuse_swallowed_subject(subjects: tuple[str, ...], json_to: str | None) -> None:
    """Refuse ``--json BUNDLE``, where click takes the bundle as the output file."""
    if json_to is not None and json_to != "-" and (Path(json_to).is_dir() or _is_model(json_to)):
        names = " ".join([*subjects, json_to])
        raise BenchmarkError(
            f"--json took '{json_to}' as the file to write: "
            f"use 'edgevid bench {names} --json' (to print JSON) or 'edgevid bench {names} --json FILE'"
        )
    if not subjects:
        raise BenchmarkError(
            "nothing to measure: pass a bundle's folder or a network, for example 'edgevid bench tsm_mbv2'"
        )


def _is_model(name: str) -> bool:
    from edgevid.zoo import MODELS

    return name in MODELS


def _find(name: str) -> Subject:
    """The bundle or network ``name``, a folder first; ``EdgevidError`` if it is neither, or is damaged."""
    from edgevid.bundle.bundle import MANIFEST, Bundle
    from edgevid.zoo import MODELS

    path = Path(name)
    if path.is_dir():
        if not (path / MANIFEST).exists():
            raise BenchmarkError(
                f"'{name}' is not a bundle (it has no {MANIFEST}): create one with 'edgevid export'"
            )
        Bundle.open(path)
        return Subject(name, is_model=False)
    if path.exists():
        raise BenchmarkError(f"'{name}' is a file: pass a bundle's folder, as 'edgevid export' creates it")
    if ":" in name:
        raise BenchmarkError(
            f"export your own network first: 'edgevid export {name} --target cpu -o DIR', "
            "then 'edgevid bench DIR'"
        )
    if name not in MODELS and (path.name != name or path.suffix):
        raise BenchmarkError(
            f"the folder '{name}' does not exist: check the path, or create it with 'edgevid export'"
        )
    MODELS[name]  # raises with the nearest names
    return Subject(name, is_model=True)


def _check_target(subjects: list[Subject], target: str | None) -> None:
    """A bundle already has a target, which ``--target`` must match."""
    if target is None:
        return
    for subject in subjects:
        bundle_target = None if subject.is_model else _target_of(subject.name)
        if bundle_target not in (None, target):
            raise BenchmarkError(
                f"bundle '{subject.name}' was exported for '{bundle_target}', not '{target}': "
                f"leave --target out, or export again with --target {target}"
            )


def _target_of(bundle: str) -> str:
    from edgevid.bundle.bundle import Bundle

    return Bundle.open(bundle).manifest.target


def _bundle_of(subject: Subject, target: str | None, device: str, folder: Path) -> str:
    """The bundle's folder; a network is first exported to ``folder`` with random weights."""
    if not subject.is_model:
        return subject.name
    import edgevid

    target = target or DEFAULT_TARGET
    click.echo(f"{subject.name}: exporting for {target} with random weights ...", err=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results only
            backend = _board_backend(device)
            options = {"backend": backend} if backend else {}
            edgevid.export(subject.name, target=target, output=folder, **options)
    except ImportError as error:
        if error.name is None or error.name.startswith("edgevid"):  # a bug, not a missing package
            raise
        raise BenchmarkError(
            f"exporting {subject.name} needs {error.name}: pip install 'edgevid[export]', "
            "or measure a bundle that was exported elsewhere"
        ) from error
    return str(folder)


def _measure(
    subject: Subject, bundle: str, scenario: str, duration: float, threads: int | None, device: str
) -> dict[str, Any]:
    from edgevid.benchmarks.harness.harness import measure

    with _progress_of(f"{Path(subject.name).name} {scenario}") as show:
        result = measure(bundle, scenario, duration, threads, show, device=device)
    # The path of a temporary folder would be useless in a result.
    return {
        **result,
        "bundle": None if subject.is_model else subject.name,
        "exported_for_this_run": subject.is_model,
    }


@contextlib.contextmanager
def _progress_of(title: str) -> Iterator[Any]:
    """A progress bar on a terminal, lines elsewhere, always on stderr."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    from tqdm import tqdm

    bar_format = "{desc} |{bar}| {n:.1f}/{total:.1f} s{postfix}"
    with tqdm(total=1.0, bar_format=bar_format, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:

        def show(progress: Any) -> None:
            bar.set_description_str(f"{title}: {progress.phase}", refresh=False)
            bar.set_postfix_str(_p50(progress), refresh=False)
            bar.total = progress.total_s or 1.0
            bar.n = min(progress.elapsed_s, bar.total)
            bar.refresh()

        yield show


class _Lines:
    """Prints a line when the phase changes and every ten seconds, for logs."""

    INTERVAL_S = 10.0

    def __init__(self, title: str) -> None:
        self.title, self.phase, self.next_s = title, "", 0.0

    def __call__(self, progress: Any) -> None:
        if progress.phase == self.phase and progress.elapsed_s < self.next_s:
            return
        self.phase, self.next_s = progress.phase, progress.elapsed_s + self.INTERVAL_S
        of_total = "" if progress.total_s is None else f" {progress.elapsed_s:.1f}/{progress.total_s:.1f} s"
        p50 = f", {_p50(progress)}" if _p50(progress) else ""
        click.echo(f"{self.title}: {self.phase}{of_total}{p50}", err=True)


def _p50(progress: Any) -> str:
    return "" if progress.p50_ms is None else f"p50 {progress.p50_ms:.4g} ms"


def _saved(store: Any, results: list[dict[str, Any]]) -> str:
    return f"; results are in '{store.path}'" if store is not None and results else ""


def _print(results: list[dict[str, Any]], json_to: str | None) -> None:
    """Print JSON only, or the table; results from before an error or Ctrl-C are printed too."""
    from edgevid.benchmarks.harness import report, store

    if json_to == "-":
        if results:
            click.echo(store.to_json(results))
    elif results:
        click.echo(report.table(results))
