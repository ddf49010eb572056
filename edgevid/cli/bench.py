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


@dataclass(frozen=True)
class Subject:
    """What is measured: a bundle's folder, or the name of a network that is exported first."""

    name: str
    is_model: bool


@click.command()
@click.argument("subjects", nargs=-1, metavar="BUNDLE|MODEL ...")
@click.option("--target", help="Device to export a MODEL for.  [default: cpu]")
@click.option(
    "--device",
    default=LOCAL,
    show_default=True,
    help="Where to run: 'local', or rpc://HOST:PORT/KEY, a board that a TVM tracker lends.",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    help=f"{' or '.join(SCENARIOS)}; repeatable.  [default: all of them]",
)
@click.option("--duration", type=float, default=10.0, show_default=True, help="Seconds of each measurement.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to run on.  [default: the backend's]")
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    metavar="FILE",
    help="Save results to FILE after each measurement; without FILE (last option, or '-') print JSON alone.",
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

    # Everything that can be wrong with the request is said before the first second is spent.
    _refuse_swallowed_subject(subjects, json_to)
    for scenario in scenarios:
        scenario_named(scenario)
    available = _scenarios_on(device, scenarios)
    if not (math.isfinite(duration) and duration > 0):
        raise BenchmarkError(
            f"--duration {duration:g} is no length of time: give seconds, such as --duration 10"
        )
    chosen = tuple(dict.fromkeys(scenarios)) or available
    found = [_find(name) for name in subjects]
    _check_target(found, target)
    store = ResultFile(Path(json_to)) if json_to not in (None, "-") else None

    results: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="edgevid-bench-") as workplace:
            for number, subject in enumerate(found):
                bundle = _bundle_of(subject, target, device, Path(workplace) / str(number))
                for scenario in chosen:
                    results.append(_measure(subject, bundle, scenario, duration, threads, device))
                    if store is not None:
                        store.save(results)
    except KeyboardInterrupt:
        click.echo(
            f"edgevid: interrupted after {len(results)} measurement(s){_kept(store, results)}", err=True
        )
        return INTERRUPTED
    finally:
        _print(results, json_to)
    return 0


def _scenarios_on(device: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those that can be measured there; ``BenchmarkError`` for a device or scenario that cannot be used."""
    from edgevid.backends import board_addresses
    from edgevid.benchmarks.harness import remote, scenarios

    if device == LOCAL:
        return scenarios.scenarios_for()
    if _board_backend(device) is None:
        raise BenchmarkError(
            f"cannot measure on device '{device}': use --device {LOCAL} (and run on the device itself), or "
            f"--device {board_addresses()} for a board over TVM's RPC"
        )
    remote.refuse_other_scenarios(*asked)
    return scenarios.scenarios_for(remote.OFFERS)


def _board_backend(device: str) -> str | None:
    """The backend that a network must be exported with to run at ``device``; None for this machine."""
    from edgevid.backends import board_backend

    backend = board_backend(device)
    return None if backend is None else backend.name


def _refuse_swallowed_subject(subjects: tuple[str, ...], json_to: str | None) -> None:
    """``--json BUNDLE`` takes the bundle for its file; nothing may be written there."""
    if json_to is not None and json_to != "-" and (Path(json_to).is_dir() or _is_model(json_to)):
        what = " ".join([*subjects, json_to])
        raise BenchmarkError(
            f"--json took '{json_to}' for the file to write: "
            f"write 'edgevid bench {what} --json' (to print JSON) or 'edgevid bench {what} --json FILE'"
        )
    if not subjects:
        raise BenchmarkError(
            "nothing to measure: name a bundle's folder or a network, such as 'edgevid bench tsm_mbv2'"
        )


def _is_model(name: str) -> bool:
    from edgevid.zoo import MODELS

    return name in MODELS


def _find(name: str) -> Subject:
    """Bundle or network? A folder wins; ``EdgevidError`` if it is neither, or a bundle that is damaged."""
    from edgevid.bundle.bundle import MANIFEST, Bundle
    from edgevid.zoo import MODELS

    path = Path(name)
    if path.is_dir():
        if not (path / MANIFEST).exists():
            raise BenchmarkError(
                f"'{name}' is not a bundle (it has no {MANIFEST}): make one with 'edgevid export'"
            )
        Bundle.open(path)
        return Subject(name, is_model=False)
    if path.exists():
        raise BenchmarkError(f"'{name}' is a file: give the folder of a bundle, which 'edgevid export' makes")
    if ":" in name:
        raise BenchmarkError(
            f"a network of your own is exported first: 'edgevid export {name} --target cpu -o DIR', "
            "then 'edgevid bench DIR'"
        )
    if name not in MODELS and (path.name != name or path.suffix):
        raise BenchmarkError(f"there is no folder '{name}': check the path, or make it with 'edgevid export'")
    MODELS[name]  # raises with the nearest names
    return Subject(name, is_model=True)


def _check_target(subjects: list[Subject], target: str | None) -> None:
    """A bundle already has its target, so that ``--target`` must name the same one."""
    if target is None:
        return
    for subject in subjects:
        made_for = None if subject.is_model else _made_for(subject.name)
        if made_for not in (None, target):
            raise BenchmarkError(
                f"bundle '{subject.name}' was made for '{made_for}', not '{target}': "
                f"leave --target out, or export again with --target {target}"
            )


def _made_for(bundle: str) -> str:
    from edgevid.bundle.bundle import Bundle

    return Bundle.open(bundle).manifest.target


def _bundle_of(subject: Subject, target: str | None, device: str, folder: Path) -> str:
    """The folder to open; a network is exported there first, with random weights."""
    if not subject.is_model:
        return subject.name
    import edgevid

    wanted = target or DEFAULT_TARGET
    click.echo(f"{subject.name}: exporting for {wanted} with random weights ...", err=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results alone
            backend = _board_backend(device)
            options = {"backend": backend} if backend else {}
            edgevid.export(subject.name, target=wanted, output=folder, **options)
    except ImportError as error:
        if error.name is None or error.name.startswith("edgevid"):  # our bug, not a missing package
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
    # A temporary folder is gone by the time somebody reads its path.
    return {
        **result,
        "bundle": None if subject.is_model else subject.name,
        "exported_for_this_run": subject.is_model,
    }


@contextlib.contextmanager
def _progress_of(title: str) -> Iterator[Any]:
    """A bar on a terminal, lines elsewhere, always on stderr."""
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
    """A line when the phase changes and every ten seconds, for logs that keep every line."""

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


def _kept(store: Any, results: list[dict[str, Any]]) -> str:
    return f"; results are in '{store.path}'" if store is not None and results else ""


def _print(results: list[dict[str, Any]], json_to: str | None) -> None:
    """JSON alone, or the table; what was measured before an error or Ctrl-C is printed too."""
    from edgevid.benchmarks.harness import report, store

    if json_to == "-":
        if results:
            click.echo(store.to_json(results))
    elif results:
        click.echo(report.table(results))
