"""Where the verdict of ``edgevid regress`` goes: one text on stdout, and files."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevid.cli.regress_options import group
from edgevid.cli.result_files import STANDARD_OUTPUT, json_option
from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.harness.store import ResultFile
    from edgevid.benchmarks.regress.outputs import Source

Verdict = dict[str, Any]
Render = Callable[[Verdict], str]


@dataclass(frozen=True)
class Outputs:
    """What the user wants to have of the verdict."""

    json_to: str | None
    reports: tuple[str, ...]
    file: str | None
    allow_inconclusive: bool

    def open(self) -> Writer:
        """Check the files; ``BenchmarkError`` before anything is measured if one cannot be written."""
        from edgevid.benchmarks.harness.store import ResultFile

        printed, files = [], []
        for option, path, render in self._texts():
            if path == STANDARD_OUTPUT:
                printed.append(render)
            else:
                files.append(ResultFile(Path(path), option, render))
        if len(printed) > 1:
            raise BenchmarkError("standard output takes one of --json and --report: give the others a FILE")
        return Writer(printed[0] if printed else _table, files)

    def _texts(self) -> list[tuple[str, str, Render]]:
        """Option, path and content of each."""
        from edgevid.benchmarks.regress.outputs import FORMATS

        texts: list[tuple[str, str, Render]] = [("--json", self.json_to, _json)] if self.json_to else []
        for report in self.reports:
            name, _, path = report.partition(":")
            if name not in FORMATS:
                raise BenchmarkError(
                    f"--report '{report}' has no known format: use one of {', '.join(FORMATS)}"
                )
            texts.append(("--report", path or STANDARD_OUTPUT, self._report(FORMATS[name])))
        return texts

    def _report(self, render: Callable[[Verdict, Source], str]) -> Render:
        def rendered(verdict: Verdict) -> str:
            candidate = verdict["candidate"]
            return render(verdict, _source(self.file, candidate["model"], candidate["bundle"]))

        return rendered


@dataclass(frozen=True)
class Writer:
    """Writes a verdict: ``printed`` goes to standard output, and then each file has its own text."""

    printed: Render
    files: list[ResultFile]

    def write(self, verdict: Verdict) -> None:
        """Each text is tried; ``BenchmarkError`` with the verdict if one cannot be written.

        Samples that ``--json FILE`` cannot take are printed.
        """
        failures = _print(self.printed(verdict))
        for file in self.files:
            try:
                file.save(verdict)
            except OSError as error:
                failures.append(f"'{file.path}' ({error.strerror})")
                if file.option == "--json":
                    failures += _print(_json(verdict))
        if failures:
            raise BenchmarkError(
                f"the verdict is {verdict['verdict']}, but it cannot be written to {' and '.join(failures)}: "
                "free space, or choose another place"
            )


def _print(text: str) -> list[str]:
    """The failure to print it, if there is one."""
    try:
        click.echo(text.removesuffix("\n"))
    except BrokenPipeError:  # the reader, as `head`, has enough: the exit status remains the verdict
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return [f"standard output ({error.strerror})"]
    return []


def _json(verdict: Verdict) -> str:
    return json.dumps(verdict, indent=1, allow_nan=False) + "\n"


def _table(verdict: Verdict) -> str:
    from edgevid.benchmarks.regress.report import report

    return report(verdict)


@functools.cache
def _source(file: str | None, model: str, bundle: str) -> Source:
    """What reports point at."""
    from edgevid.benchmarks.regress.outputs import Source, source_of

    return Source(file) if file else source_of(model, Path(bundle))


output_options = group(
    "outputs",
    Outputs,
    json_option("Write the verdict and all samples to FILE"),
    click.option(
        "--report",
        "reports",
        multiple=True,
        metavar="FORMAT:FILE",
        help="Write the verdict for a CI system too: markdown, junit (XML), sarif, github (annotations) or "
        "gitlab (code quality); without FILE print only it. Repeatable.",
    ),
    click.option(
        "--file",
        metavar="PATH",
        help="Source file that reports point at.  [default: where this repository defines the network]",
    ),
    click.option(
        "--allow-inconclusive",
        is_flag=True,
        help="Exit with 0 instead of 2, where CI knows only success and failure.",
    ),
)
