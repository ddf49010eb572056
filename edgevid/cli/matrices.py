"""``edgevid bench --matrix``: progress on stderr, a table or JSON at the end, and what failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edgevid.cli import INTERRUPTED
from edgevid.cli.measuring import progress_of, recorder_for
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.matrix.plan import Cell
    from edgevid.cli.result_files import ResultFiles

FAILED = 1
BESIDE_MATRIX = {"matrix", "journal", "retry_failed", "scheduler", "store_at", "json_to", "html_to"}
"""The options that a matrix does not have in its file."""

Show = Callable[[list[dict[str, Any]]], None]


def matrix_options(command: Any) -> Any:
    for option in (
        click.option(
            "--scheduler", metavar="ADDRESS", help="Measure a matrix on the devices of a Dask cluster."
        ),
        click.option("--retry-failed", is_flag=True, help="Measure again what failed in a matrix."),
        click.option(
            "--journal", metavar="FILE", help="Where a matrix continues from.  [default: next to FILE.toml]"
        ),
        click.option(
            "--matrix", metavar="FILE.toml", help="Measure every combination of lists in FILE.toml."
        ),
    ):
        command = option(command)
    return command


def run(
    file: Path,
    journal_file: str | None,
    retry_failed: bool,
    scheduler: str | None,
    store: str | None,
    files: ResultFiles,
    show: Show,
) -> int:
    """Measure the cells of ``file`` that its journal does not have; returns the exit status.

    The journal, and the folder of the bundles that are exported, are next to ``file`` by default. With the
    address of a ``scheduler`` the devices are those of a Dask cluster. ``show`` prints the results.
    """
    from edgevid.benchmarks.fleet.cluster import run_on_fleet
    from edgevid.benchmarks.matrix.exports import Exports
    from edgevid.benchmarks.matrix.journal import Journal
    from edgevid.benchmarks.matrix.plan import read_matrix
    from edgevid.benchmarks.matrix.runner import Runner
    from edgevid.targets import TARGETS

    _refuse_other_options()
    cells = read_matrix(file, TARGETS)
    recorder = recorder_for(store) if store else None
    path = Path(journal_file) if journal_file else file.with_suffix(".journal.jsonl")
    with Journal(path) as journal:
        runner = Runner(journal, Exports(path.with_suffix(".bundles"), _say), _measure, _say)
        if recorder is not None:
            runner = Runner(journal, runner.bundle_of, _measure, _say, recorder.add, recorder.known)
        try:
            if scheduler is None:
                runner.run(cells, retry_failed)
            else:
                run_on_fleet(scheduler, runner, cells, retry_failed)
        except KeyboardInterrupt:
            _say(f"edgevid: interrupted; run the same command again to continue from '{path}'")
            return INTERRUPTED
        finally:
            found = dict(journal.results())
            results = [found[cell.key] for cell in cells if cell.key in found]
            if results:
                files.save(results)
            show(results)
        failures = [
            (cell.title, journal.failures[cell.key]) for cell in cells if cell.key in journal.failures
        ]
    for title, reason in failures:
        _say(f"failed: {title}: {reason}")
    if failures:
        _say(f"edgevid: {len(failures)} of {len(cells)} measurements failed: --retry-failed tries them again")
    return FAILED if failures else 0


def refuse_without_matrix(**options: Any) -> None:
    for name, value in options.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise BenchmarkError(f"{option} is for a matrix: use it with --matrix FILE.toml")


def _refuse_other_options() -> None:
    context = click.get_current_context()
    for name, value in context.params.items():
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE and value != ()
        if given and name not in BESIDE_MATRIX:
            option = next(item for item in context.command.params if item.name == name)
            what = option.opts[0] if isinstance(option, click.Option) else "a bundle or network"
            raise BenchmarkError(f"{what} cannot be combined with --matrix: put it into the matrix's file")


def _measure(cell: Cell, bundle: str) -> dict[str, Any]:
    from edgevid.benchmarks.harness.harness import measure

    # A log has one line for each measurement already.
    bar = progress_of(cell.title) if sys.stderr.isatty() else contextlib.nullcontext()
    with bar as show:
        return measure(
            bundle,
            cell.scenario,
            cell.duration_s,
            cell.threads,
            show,
            device=cell.device,
            settings=cell.settings,
            pinned=cell.pinned,
            power=cell.power,
        )


def _say(line: str) -> None:
    click.echo(line, err=True)
