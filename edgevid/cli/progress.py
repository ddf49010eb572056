"""How far something has come, on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import click

LINE_EVERY_S = 10.0

Item = TypeVar("Item")
Show = Callable[[str, float, float], None]


@contextlib.contextmanager
def progress(unit: str = "", first_after_s: float = 0.0) -> Iterator[Show]:
    """``show(text, done, total)``: a bar on a terminal, a line every ten seconds in a log.

    The first line comes after ``first_after_s``, so that what is short says nothing.
    """
    if not sys.stderr.isatty():
        due_s = time.monotonic() + first_after_s

        def line(text: str, done: float, total: float) -> None:
            nonlocal due_s
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + LINE_EVERY_S
                click.echo(f"{text}: {done:.0f}/{total:.0f} {unit}".rstrip(), err=True)

        yield line
        return
    from tqdm import tqdm

    form = f"{{desc}} |{{bar}}| {{n:.0f}}/{{total:.0f}} {unit} [{{elapsed}}<{{remaining}}]"
    with tqdm(total=1, bar_format=form, file=sys.stderr, leave=False, dynamic_ncols=True) as bar:

        def show(text: str, done: float, total: float) -> None:
            bar.set_description_str(text, refresh=False)
            bar.total, bar.n = total, min(done, total)
            bar.refresh()

        yield show


def shown(items: Iterable[Item], count: int, text: str) -> Iterator[Item]:
    """Pass ``items`` on, and show how many of ``count`` have passed."""
    with progress(first_after_s=LINE_EVERY_S) as show:
        for number, item in enumerate(items, 1):
            yield item
            show(text, number, count)
