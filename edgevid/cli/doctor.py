"""``edgevid doctor``: what works on this machine, and how to fix what does not."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print only JSON on standard output.")
def command(as_json: bool) -> int:
    """Check everything that edgevid needs or can use; exit with 1 if it cannot run bundles or read videos."""
    from edgevid.cli import checks

    rows = checks.examine()
    works = checks.core_works(rows)
    if as_json:
        click.echo(json.dumps(checks.as_json(rows), indent=1))
    else:
        click.echo(_table(rows))
        click.echo()
        click.echo(
            "edgevid can run bundles and read videos here."
            if works
            else "edgevid cannot work here: fix the rows 'provider' and 'video' that say no."
        )
    return 0 if works else 1


def _table(checks: list[Any]) -> str:
    """One table; each kind appears in its first row only."""
    from tabulate import tabulate

    rows = []
    for kind, group in groupby(checks, key=lambda check: check.kind):
        for number, check in enumerate(group):
            label = kind if number == 0 else ""
            rows.append((label, check.name, "yes" if check.ok else "no", check.detail, check.mend))
    headers = ("kind", "what", "works", "detail", "what to do")
    return tabulate(rows, headers, maxcolwidths=[None, None, None, 50, 40])
