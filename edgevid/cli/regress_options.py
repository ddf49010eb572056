"""Options of ``edgevid regress``: each group is one argument of the command, with a field for each option.

A group has a module of its own: this one has what is compared and how, ``regress_outputs`` what is written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.regress.pairs import Options

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def group(argument: str, kind: Callable[..., Any], *options: Decorator) -> Decorator:
    """Options whose values the command receives as one ``argument``, the dataclass ``kind`` of them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def gather(**values: Any) -> Any:
            own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # a dataclass
            return function(**values, **{argument: kind(**own)})

        decorated: Callable[..., Any] = gather
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how; texts as the user wrote them."""

    baseline: str | None
    candidate: str | None
    threshold: str
    budget: str
    threads: int
    seed: int | None

    def bundles(self) -> tuple[str, str]:
        """Baseline and candidate; a usage error if one is missing."""
        for name, value in (("--baseline", self.baseline), ("--candidate", self.candidate)):
            if value is None:
                raise click.UsageError(f"Missing option '{name}'.", click.get_current_context())
        return str(self.baseline), str(self.candidate)

    def options(self, others: int = 0) -> Options:
        from edgevid.benchmarks.regress.pairs import Options

        return Options(
            share(self.threshold), seconds(self.budget), threads=self.threads, seed=self.seed, others=others
        )


comparison_options = group(
    "comparison",
    Comparison,
    click.option(
        "--baseline", metavar="BUNDLE|FILE.json", help="The bundle to compare with, or a file that names it."
    ),
    click.option("--candidate", metavar="BUNDLE", help="The bundle that may be slower."),
    click.option(
        "--threshold",
        default="3%",
        show_default=True,
        metavar="SHARE",
        help="The slow-down that must be caught.",
    ),
    click.option("--budget", default="120s", show_default=True, metavar="TIME", help="Stop after this time."),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads to run on: others on the machine disturb one least.",
    ),
    click.option("--seed", type=int, help="Of the order in each pair.  [default: a new one each time]"),
)


def share(text: str, option: str = "--threshold", example: str = "3%") -> float:
    """``3%`` or ``0.03``."""
    with contextlib.suppress(ValueError):
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 < value < 1:
            return value
    raise BenchmarkError(
        f"{option} '{text}' is no share between 0 and 100%: use, for example, {option} {example}"
    )


def seconds(text: str) -> float:
    """``120s``, ``2m``, or a number of seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    with contextlib.suppress(ValueError):
        unit = text[-1:] if text[-1:] in units else ""
        value = float(text.removesuffix(unit)) * units.get(unit, 1)
        if 0 < value < math.inf:
            return value
    raise BenchmarkError(f"--budget '{text}' is no time: use, for example, --budget 120s")
