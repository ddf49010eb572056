"""``edgevid bench --matrix``: progress on stderr, a table or JSON at the end, and what failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli import INTERRUPTED

if TYPE_CHECKING:
    from edgevid.benchmarks.matrix.plan import Cell

FAILED = 1


def run_matrix(
    file: Path,
    journal_file: Path | None,
    retry_failed: bool,
    measure: Callable[[Cell, str], dict[str, Any]],
    keep: Callable[[dict[str, Any]], None],
    show: Callable[[list[dict[str, Any]]], None],
) -> int:
    """Measure the cells of ``file`` that its journal does not have; returns the exit status.

    The journal, and the folder of the bundles that are exported, are next to ``file`` by default.
    """
    from edgevid.benchmarks.matrix.exports import Exports
    from edgevid.benchmarks.matrix.journal import Journal
    from edgevid.benchmarks.matrix.plan import read_matrix
    from edgevid.benchmarks.matrix.runner import Runner

    cells = read_matrix(file)
    path = journal_file or file.with_suffix(".journal.jsonl")
    with Journal(path) as journal:
        runner = Runner(journal, Exports(path.with_suffix(".bundles"), _say), measure, _say, keep)
        try:
            runner.run(cells, retry_failed)
        except KeyboardInterrupt:
            click.echo(f"edgevid: interrupted; run again to continue from '{path}'", err=True)
            return INTERRUPTED
        finally:
            keys = [cell.key for cell in cells]
            results = {key: result for key, result in journal.results() if key in keys}
            show([results[key] for key in keys if key in results])
        failures = [
            (cell.title, journal.failures[cell.key]) for cell in cells if cell.key in journal.failures
        ]
    for title, reason in failures:
        _say(f"failed: {title}: {reason}")
    if failures:
        _say(f"edgevid: {len(failures)} of {len(cells)} measurements failed: --retry-failed tries them again")
    return FAILED if failures else 0


def _say(line: str) -> None:
    click.echo(line, err=True)
