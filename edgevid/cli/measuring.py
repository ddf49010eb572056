"""Progress of a measurement on stderr, a bar on a terminal and lines in a log; and where results go."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgevid.benchmarks.store.recorder import Recorder

Keep = Callable[["dict[str, Any]"], None]
"""Adds a result to a store."""


def recorder_for(store: str) -> Recorder:
    """What adds results to ``store``, a path or a URL; ``BenchmarkError`` if it cannot be used."""
    from edgevid.benchmarks.store.recorder import Recorder

    return Recorder(store, lambda line: click.echo(line, err=True))


def keep_in(store: str | None) -> Keep:
    """Adds a result to ``store``, which is opened at once; does nothing without one."""
    return recorder_for(store).add if store else lambda result: None


@contextlib.contextmanager
def progress_of(title: str) -> Iterator[Any]:
    """A progress bar on a terminal, lines elsewhere, always on stderr."""
    if not sys.stderr.isatty():
        yield Lines(title)
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


class Lines:
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
