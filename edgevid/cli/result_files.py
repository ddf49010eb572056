"""Where results go: ``--json FILE`` and ``--html FILE``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

STANDARD_OUTPUT = "-"


def json_option(does: str) -> Callable[[Any], Any]:
    """``--json [FILE]``, as ``json_to``; ``does`` says what happens to FILE."""
    return click.option(
        "--json",
        "json_to",
        is_flag=False,
        flag_value=STANDARD_OUTPUT,
        metavar="FILE",
        help=f"{does}; without FILE (last option, or '-') print only JSON.",
    )


class ResultFiles:
    """Files that hold all results so far; ``BenchmarkError`` at once if one of them cannot be written."""

    def __init__(self, json_to: str | None, html_to: str | None) -> None:
        from edgevid.benchmarks.harness.store import ResultFile

        self._files = []
        if json_to not in (None, STANDARD_OUTPUT):
            self._files.append(ResultFile(Path(json_to)))
        if html_to is not None:
            self._files.append(ResultFile(Path(html_to), "--html", _page))

    def save(self, results: list[dict[str, Any]]) -> None:
        for file in self._files:
            file.save(results)

    def __str__(self) -> str:
        """Their names, such as ``'a.json' and 'a.html'``; empty if there are none."""
        return " and ".join(f"'{file.path}'" for file in self._files)


def _page(results: list[dict[str, Any]]) -> str:
    from edgevid.benchmarks.harness.page import page

    return page(results)
