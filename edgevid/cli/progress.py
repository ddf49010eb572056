"""How far a loop has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

LINE_EVERY_S = 10.0

Item = TypeVar("Item")


def shown(items: Iterable[Item], count: int, text: str) -> Iterator[Item]:
    """Pass ``items`` on, with a bar on a terminal and a line every ten seconds in a log."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=count, desc=text, file=sys.stderr, leave=False, dynamic_ncols=True)
        return
    next_line = time.monotonic() + LINE_EVERY_S
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() >= next_line:
            click.echo(f"{text}: {number}/{count}", err=True)
            next_line = time.monotonic() + LINE_EVERY_S
