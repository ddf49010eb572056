"""``edgevid regress``: is a bundle slower than another? For CI: the exit status is the answer."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from edgevid.errors import BenchmarkError, EdgevidError

STATUS = {"pass": 0, "improvement": 0, "regression": 1, "inconclusive": 2}
CANNOT_COMPARE = 3


class Gate(click.Command):
    """Wrong use must not look like the verdict "inconclusive"."""

    bad_input = CANNOT_COMPARE


@click.command(cls=Gate)
@click.option("--baseline", required=True, metavar="BUNDLE", help="The bundle to compare with.")
@click.option("--candidate", required=True, metavar="BUNDLE", help="The bundle that may be slower.")
@click.option(
    "--threshold", default="3%", show_default=True, metavar="SHARE", help="The slow-down that must be caught."
)
@click.option("--budget", default="120s", show_default=True, metavar="TIME", help="Stop after this time.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to run on.  [default: the backend's]")
@click.option("--seed", type=int, help="Of the order in each pair.  [default: a new one each time]")
@click.option(
    "--json",
    "json_to",
    is_flag=False,
    flag_value="-",
    metavar="FILE",
    help="Write the verdict and all samples to FILE; without FILE (last option, or '-') print only JSON.",
)
def command(
    baseline: str,
    candidate: str,
    threshold: str,
    budget: str,
    threads: int | None,
    seed: int | None,
    json_to: str | None,
) -> int:
    """Compare two bundles in pairs of fresh processes, until it is decided or the budget is spent.

    Exit status: 0 no regression, 1 regression, 2 inconclusive, 3 the two cannot be compared.
    """
    from edgevid.benchmarks.regress import gate
    from edgevid.benchmarks.regress.report import report
    from edgevid.host.files import atomic_write

    try:
        options = gate.Options(_share(threshold), _seconds(budget), threads=threads, seed=seed)
        with one_gate_at_a_time(), _progress(options.budget_s) as show:
            verdict = gate.compare(baseline, candidate, options, show)
    except EdgevidError as error:
        click.echo(f"edgevid: {' '.join(str(error).split())}", err=True)
        return CANNOT_COMPARE
    document = json.dumps(verdict, indent=1, allow_nan=False)
    if json_to == "-":
        click.echo(document)
    else:
        if json_to is not None:
            atomic_write(Path(json_to), (document + "\n").encode())
        click.echo(report(verdict))
    return STATUS[verdict["verdict"]]


def _share(text: str) -> float:
    """``3%`` or ``0.03``."""
    with contextlib.suppress(ValueError):
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 < share < 1:
            return share
    raise BenchmarkError(
        f"--threshold '{text}' is no share between 0 and 100%: use, for example, --threshold 3%"
    )


def _seconds(text: str) -> float:
    """``120s``, ``2m``, or a number of seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    with contextlib.suppress(ValueError):
        seconds = float(text.rstrip("smh")) * units.get(text[-1:], 1)
        if 0 < seconds < math.inf:
            return seconds
    raise BenchmarkError(f"--budget '{text}' is no time: use, for example, --budget 120s")


@contextlib.contextmanager
def one_gate_at_a_time() -> Iterator[None]:
    """Two gates on one machine would disturb each other: the second waits."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    from edgevid.host.cache import cache_folder

    path = cache_folder() / "regress.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            click.echo("waiting for another 'edgevid regress' on this machine ...", err=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _progress(budget_s: float) -> Iterator[Callable[[Any], None]]:
    """A bar of the budget on a terminal, a line every tenth pair elsewhere, on stderr."""
    if not sys.stderr.isatty():

        def line(progress: Any) -> None:
            if (progress.pairs + progress.discarded) % 10 == 0:
                click.echo(f"{_describe(progress)}, {progress.elapsed_s:.0f}/{budget_s:.0f} s", err=True)

        yield line
        return
    from tqdm import tqdm

    bar_format = "{desc} |{bar}| {n:.0f}/{total:.0f} s"
    with tqdm(total=budget_s, bar_format=bar_format, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:

        def show(progress: Any) -> None:
            bar.set_description_str(_describe(progress), refresh=False)
            bar.n = min(progress.elapsed_s, budget_s)
            bar.refresh()

        yield show


def _describe(progress: Any) -> str:
    ratio = "" if progress.ratio is None else f", latency x{progress.ratio:.3f}"
    return f"{progress.pairs} pairs, {progress.discarded} discarded{ratio}"
