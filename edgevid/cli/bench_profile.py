"""The options of ``edgevid bench`` for a profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)
OPTIONS = (
    click.option("--profile", is_flag=True, help="Also say where the time goes, by layer and by stage."),
    click.option("--plot", type=FILE, metavar="FILE.svg|png", help="Write a picture of the profile."),
    click.option(
        "--trace", type=FILE, metavar="FILE.json", help="Write the profile as a Chrome trace, for Perfetto."
    ),
)


def profile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; each of the others implies ``--profile``."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
