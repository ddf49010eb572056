"""What ``edgevid regress`` keeps: its verdicts in a store, where a series of them is judged too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.measuring import recorder_for
from edgevid.cli.regress_options import group
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.store.recorder import Recorder


@dataclass(frozen=True)
class Keeping:
    """Where verdicts are kept, and of which commit they are."""

    store_at: str | None
    commit: str | None

    def recorder(self) -> Recorder | None:
        """The store, opened before anything is measured; ``BenchmarkError`` if it cannot be used."""
        return recorder_for(self.store_at) if self.store_at else None

    def commit_here(self) -> str | None:
        """``--commit``, or the commit of the repository around the current folder; None without one."""
        if self.commit:
            return self.commit
        from edgevid.host import commands

        return commands.run(["git", "rev-parse", "HEAD"], cwd=Path.cwd()).output or None


store_option = click.option(
    "--store",
    "store_at",
    envvar="EDGEVID_STORE",
    metavar="FILE|URL",
    help="Add the verdict to a file of SQLite, or to postgresql://USER@HOST/DATABASE, and judge the series "
    "of verdicts with the same baseline too.  [env: EDGEVID_STORE]",
)
keeping_options = group(
    "keeping",
    Keeping,
    store_option,
    click.option(
        "--commit", metavar="SHA", help="The candidate's commit, for --store.  [default: git's HEAD here]"
    ),
)


def keep(recorder: Recorder, verdict: dict[str, Any], commit: str | None) -> dict[str, Any]:
    """Add the verdict to the store; the verdict with that against history, if the store can be used.

    Whatever becomes of the store, the verdict stands.
    """
    from edgevid.benchmarks.regress.history import judged
    from edgevid.benchmarks.regress.series import record_of

    record = record_of(verdict, commit)
    if record is None:
        return verdict
    try:
        recorder.add(record)
        return judged(verdict, record, recorder.verdicts_like(record))
    except BenchmarkError as error:
        click.echo(f"warning: the verdict was not compared with its history: {error}", err=True)
        return verdict
