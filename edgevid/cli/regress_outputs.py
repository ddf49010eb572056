"""Where the verdict of ``edgevid regress`` goes: a table on stdout, and files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgevid.cli.regress_options import group
from edgevid.cli.result_files import STANDARD_OUTPUT


@dataclass(frozen=True)
class Outputs:
    """What the user wants to have of the verdict."""

    json_to: str | None

    def write(self, verdict: dict[str, Any]) -> None:
        from edgevid.benchmarks.regress.report import report
        from edgevid.host.files import atomic_write

        document = json.dumps(verdict, indent=1, allow_nan=False)
        if self.json_to == STANDARD_OUTPUT:
            click.echo(document)
            return
        if self.json_to is not None:
            atomic_write(Path(self.json_to), (document + "\n").encode())
        click.echo(report(verdict))


output_options = group(
    "outputs",
    Outputs,
    click.option(
        "--json",
        "json_to",
        is_flag=False,
        flag_value=STANDARD_OUTPUT,
        metavar="FILE",
        help="Write the verdict and all samples to FILE; without FILE (last option, or '-') print only JSON.",
    ),
)
