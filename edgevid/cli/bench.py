"""``edgevid bench``: measure bundles, or networks by name, on this machine."""

from __future__ import annotations

import functools
import tempfile
import uuid
from pathlib import Path
from typing import Any

import click

from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.cli import INTERRUPTED, detached, matrices
from edgevid.cli.bench_options import Options, options_of
from edgevid.cli.bench_profile import profile_options
from edgevid.cli.measuring import Keep, keep_in, progress_of
from edgevid.cli.result_files import ResultFiles, json_option
from edgevid.cli.subjects import Subject, bundle_of, check_target, find, refuse_swallowed
from edgevid.errors import BenchmarkError
from edgevid.specs import LOCAL

DEFAULT_SCENARIOS = " and ".join(item.name for item in SCENARIOS.values() if item.by_default)


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
@click.option(
    "--duration",
    type=float,
    help="Seconds of each measurement; of each rate, for server.  [default: 10; sustained: 1800]",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to run on.  [default: the backend's]")
@profile_options
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    help="Clips per query (multi-stream), or cameras.  [default: 8; camera: 1]",
)
@click.option(
    "--latency-bound",
    type=float,
    metavar="MS",
    help="The p99 that server keeps.  [default: 5 times the latency of a query alone]",
)
@click.option(
    "--video",
    metavar="FILE",
    help="What a camera shows, and a profile's stages are of.  [default: moving shapes, 340x256]",
)
@click.option("--fps", type=float, help="Frames per second of a camera.  [default: the video's]")
@click.option(
    "--deadline",
    type=float,
    metavar="MS",
    help="When an answer to a camera's frame is late.  [default: the time between two frames]",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the arrivals in server.")
@click.option(
    "--pin/--no-pin", default=True, help="Pin the process to as many cores as it has threads.  [default: pin]"
)
@click.option("--detach", is_flag=True, help="Let the board measure alone, and return at once.")
@click.option(
    "--collect", is_flag=True, help="Fetch what a board measured alone, or after a lost connection."
)
@click.option(
    "--power",
    metavar="SOURCE",
    help="Fail unless power is measured: with 'auto', a probe (edgevid list probes), or an external meter, "
    "csv:PATH, serial:DEVICE[:BAUD] or a URL, that sends watts; 'none': do not.  [default: if possible]",
)
@click.option(
    "--store",
    "store_at",
    envvar="EDGEVID_STORE",
    metavar="FILE|URL",
    help="Add results to a file of SQLite, or to postgresql://USER@HOST/DATABASE.  [env: EDGEVID_STORE]",
)
@matrices.matrix_options
@json_option("Save results to FILE after each measurement")
@click.option("--html", "html_to", metavar="FILE", help="Write results to a page, after each measurement.")
def command(
    subjects: tuple[str, ...],
    target: str | None,
    scenarios: tuple[str, ...],
    json_to: str | None,
    html_to: str | None,
    store_at: str | None,
    matrix: str | None,
    journal: str | None,
    retry_failed: bool,
    scheduler: str | None,
    detach: bool,
    collect: bool,
    profile: bool,
    plot: Path | None,
    trace: Path | None,
    **options: Any,
) -> int:
    """Measure latency, throughput and memory of each BUNDLE or MODEL, each in a fresh process."""
    from edgevid.benchmarks.harness.scenarios import scenario_named
    from edgevid.benchmarks.profile.outputs import Outputs

    if matrix is not None:
        files = ResultFiles(json_to, html_to)
        show = functools.partial(_print, json_to=json_to)
        return matrices.run(Path(matrix), journal, retry_failed, scheduler, store_at, files, show)
    matrices.refuse_without_matrix(journal=journal, retry_failed=retry_failed, scheduler=scheduler)
    for option, is_given in (("--detach", detach), ("--collect", collect)):
        if is_given:
            detached.check_device(options["device"], option)
    keep = keep_in(store_at)
    if collect:
        files = ResultFiles(json_to, html_to)
        return detached.collect(options["device"], lambda results: _keep(results, json_to, files, keep))
    # Check the whole request before spending time on a measurement.
    refuse_swallowed(subjects, json_to, "bench")
    for scenario in scenarios:
        scenario_named(scenario)
    how = options_of(**options)
    available = _scenarios_on(how.device, scenarios)
    selection = tuple(dict.fromkeys(scenarios)) or tuple(
        name for name in available if SCENARIOS[name].by_default
    )
    outputs = Outputs(profile, plot, trace)
    outputs.check(len(subjects), detach)
    found = [find(name) for name in subjects]
    check_target(found, target)
    files = ResultFiles(json_to, html_to)

    if detach:
        with tempfile.TemporaryDirectory(prefix="edgevid-bench-") as workplace:
            bundles = [
                bundle_of(item, target, None, Path(workplace) / str(n)) for n, item in enumerate(found)
            ]
            detached.detach(
                how.device, [how.request(bundle, name) for bundle in bundles for name in selection]
            )
        return 0
    results: list[dict[str, Any]] = []
    try:
        with tempfile.TemporaryDirectory(prefix="edgevid-bench-") as workplace:
            for number, subject in enumerate(found):
                backend = _board_backend(how.device)
                bundle = bundle_of(subject, target, backend, Path(workplace) / str(number))
                for scenario in selection:
                    with_profile = outputs.are_wanted and scenario == selection[0]  # one for each bundle
                    result = _measure(subject, bundle, scenario, how, with_profile)
                    outputs.write(result)
                    results.append(result)
                    files.save(results)
                    keep(result)
    except KeyboardInterrupt:
        saved = f"; results are in {files}" if str(files) and results else ""
        click.echo(f"edgevid: interrupted after {len(results)} measurement(s){saved}", err=True)
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


def _measure(
    subject: Subject, bundle: str, scenario: str, options: Options, with_profile: bool
) -> dict[str, Any]:
    from edgevid.benchmarks.harness.harness import measure

    profile: dict[str, Any] = {"profile": True} if with_profile else {}
    with progress_of(f"{Path(subject.name).name} {scenario}") as show:
        result = measure(
            bundle,
            scenario,
            options.duration_s,
            options.threads,
            show,
            device=options.device,
            settings=options.settings,
            pinned=options.pinned,
            power=options.power,
            **profile,
        )
    # The path of a temporary folder would be useless in a result.
    return {
        "measurement_id": str(uuid.uuid4()),
        **result,
        "bundle": None if subject.is_model else subject.name,
        "exported_for_this_run": subject.is_model,
    }


def _keep(results: list[dict[str, Any]], json_to: str | None, files: ResultFiles, keep: Keep) -> None:
    if results:
        files.save(results)
    for result in results:
        keep(result)
    _print(results, json_to)


def _print(results: list[dict[str, Any]], json_to: str | None) -> None:
    """Print JSON only, or the table; results from before an error or Ctrl-C are printed too."""
    from edgevid.benchmarks.harness import report, store
    from edgevid.benchmarks.profile.table import profiles

    if json_to == "-":
        if results:
            click.echo(store.to_json(results))
    elif results:
        click.echo("\n".join([report.table(results), *profiles(results)]))
