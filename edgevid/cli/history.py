"""``edgevid history``: the verdicts in a store, as series of ratios, and where they changed for good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevid.cli.result_files import STANDARD_OUTPUT, json_option
from edgevid.errors import BenchmarkError


@click.command()
@click.option(
    "--store",
    "store_at",
    envvar="EDGEVID_STORE",
    metavar="FILE|URL",
    help="Where 'edgevid regress --store' has put its verdicts.  [env: EDGEVID_STORE]",
)
@click.option("--html", "html_to", metavar="FILE", help="Write all series to a page.")
@json_option("Write all series to FILE")
def command(store_at: str | None, html_to: str | None, json_to: str | None) -> int:
    """List every series of verdicts, its changes for good, and the commits from which on it is worse.

    A series has the ratios of one metric to one baseline on one device.
    """
    from edgevid.benchmarks.harness.store import ResultFile
    from edgevid.benchmarks.regress import history, trend
    from edgevid.benchmarks.regress.series import series_of
    from edgevid.benchmarks.store import open_store

    if store_at is None:
        raise BenchmarkError("no store is named: pass --store FILE or URL, or set EDGEVID_STORE")
    store = open_store(store_at, create=False)

    def to_json(series: Any) -> str:
        return json.dumps(history.document(store.name, series), indent=1, allow_nan=False) + "\n"

    def to_html(series: Any) -> str:
        return trend.page(store.name, series)

    files = []
    if html_to is not None:
        files.append(ResultFile(Path(html_to), "--html", to_html))
    if json_to not in (None, STANDARD_OUTPUT):
        files.append(ResultFile(Path(json_to), "--json", to_json))
    series = series_of(store.verdicts())
    if not series:
        raise BenchmarkError(
            f"the store '{store.name}' has no verdicts yet: add some with 'edgevid regress --store'"
        )
    for file in files:
        file.save(series)
    click.echo(to_json(series).removesuffix("\n") if json_to == STANDARD_OUTPUT else history.report(series))
    return 0
