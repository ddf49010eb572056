"""``edgevid regress``: is a bundle slower than another? For CI: the exit status is the answer."""

from __future__ import annotations

import contextlib
import itertools
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.progress import progress
from edgevid.cli.regress_baseline import BaselineFile, baseline_options
from edgevid.cli.regress_measures import Measures, measure_options
from edgevid.cli.regress_options import Comparison, comparison_options
from edgevid.cli.regress_outputs import Outputs, output_options
from edgevid.cli.regress_store import Keeping, keep, keeping_options
from edgevid.errors import BenchmarkError, EdgevidError, os_error_line

if TYPE_CHECKING:
    from edgevid.benchmarks.regress.pairs import Progress

STATUS = {"pass": 0, "improvement": 0, "regression": 1, "inconclusive": 2}
CANNOT_COMPARE = 3
POLL_S = 0.2


class Gate(click.Command):
    """Whatever goes wrong must not look like a verdict: 1 is "regression", and Python's own status too."""

    bad_input = CANNOT_COMPARE

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except (EdgevidError, OSError) as error:
            text = os_error_line(error) if isinstance(error, OSError) else str(error)
            click.echo(f"edgevid: {' '.join(text.split())}", err=True)
        except Exception:  # a bug
            traceback.print_exc()
        return CANNOT_COMPARE


@click.command(cls=Gate)
@comparison_options
@measure_options
@baseline_options
@keeping_options
@output_options
def command(
    comparison: Comparison, measures: Measures, kept: BaselineFile, keeping: Keeping, outputs: Outputs
) -> int:
    """Compare two bundles in pairs of fresh processes, until it is decided or the budget is spent.

    Exit status: 0 no regression, 1 regression, 2 inconclusive, 3 the two cannot be compared or the verdict
    cannot be written.
    """
    if measures.self_test:
        with one_gate_at_a_time(comparison.options().budget_s) as is_alone:
            if not is_alone:
                raise BenchmarkError(
                    "another 'edgevid regress' uses this machine: start the self-test after it"
                )
            measures.test_itself(comparison, outputs.json_to)
        return 0
    writer, recorder = outputs.open(), keeping.recorder()
    add_accuracy = measures.accuracy()
    if kept.reason is not None:
        kept.accept(comparison, measures, recorder, keeping.commit_here())
        return 0
    comparison, verdict = kept.resolved(comparison, measures)
    verdict = verdict or add_accuracy(_compare(comparison, measures), comparison)
    if recorder is not None:
        verdict = keep(recorder, verdict, keeping.commit_here())
    writer.write(verdict)
    if verdict["verdict"] == "inconclusive" and outputs.allow_inconclusive:
        return 0
    return STATUS[verdict["verdict"]]


def _compare(comparison: Comparison, measures: Measures) -> dict[str, Any]:
    from edgevid.benchmarks.regress import gate

    options, bundles = comparison.options(int(measures.dataset is not None)), comparison.bundles()
    energy = measures.energy(bundles[1])
    with one_gate_at_a_time(options.budget_s) as is_alone:
        if measures.instructions:  # exact, whoever else is here
            return measures.count(comparison)
        if not is_alone:
            why = (
                f"another 'edgevid regress' used this machine for all of the {options.budget_s:g} s: run one "
                "after another, or raise --budget"
            )
            return gate.compare_without_pairs(*bundles, options, why)
        with progress("s") as show:
            return gate.compare(
                *bundles,
                options,
                lambda pairs: show(_described(pairs), pairs.elapsed_s, options.budget_s),
                energy,
            )


@contextlib.contextmanager
def one_gate_at_a_time(budget_s: float) -> Iterator[bool]:
    """Two gates on one machine would disturb each other: the second waits, at most ``budget_s`` seconds.

    Gives whether this one is alone now. The lock of a gate that was killed is free.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield True
        return
    from edgevid.host.cache import cache_folder

    path = cache_folder() / "regress.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        yield _locked(lambda: fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB), budget_s)


def _locked(lock: Callable[[], None], budget_s: float) -> bool:
    """Whether ``lock`` succeeds in time, which raises ``BlockingIOError`` while another has it."""
    end = time.monotonic() + budget_s
    for attempt in itertools.count():
        with contextlib.suppress(BlockingIOError):
            lock()
            return True
        if attempt == 0:
            click.echo(f"waiting for another 'edgevid regress' here, at most {budget_s:g} s ...", err=True)
        if time.monotonic() > end:
            break
        time.sleep(POLL_S)
    return False


def _described(pairs: Progress) -> str:
    ratio = "" if pairs.ratio is None else f", {pairs.metric} x{pairs.ratio:.3f}"
    return f"{pairs.pairs} pairs, {pairs.discarded} discarded{ratio}"
