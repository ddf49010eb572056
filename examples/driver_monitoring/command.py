"""What the three commands share: the options of the events, and errors of one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields

from events import Settings

from edgevid.errors import EdgevidError
from edgevid.session import Session

WRONG_USE = 2


def parser_of(text: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for each field of ``Settings``."""
    group = parser.add_argument_group("events", (Settings.__doc__ or "").replace("``", ""))
    for field in fields(Settings):
        default = field.default
        group.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(default), default=default, metavar="X"
        )


def settings_of(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Settings:
    try:
        return Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})
    except ValueError as error:
        parser.error(str(error))


def classes_of(session: Session, settings: Settings) -> list[str]:
    """The names of the bundle's classes; ``EdgevidError`` if the one for no activity is not among them."""
    if not session.labels or settings.idle not in session.labels:
        raise EdgevidError(
            f"'{session.path}' has no class '{settings.idle}': export a checkpoint of train.sh, or name with "
            "--idle the class that is no activity"
        )
    return session.labels


def run(main: Callable[[], None]) -> None:
    try:
        main()
    except (EdgevidError, OSError) as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        sys.exit(WRONG_USE)
