"""What MkDocs calls for each page: the page of commands gets the help of every command (``mkdocs.yml``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from edgevid.cli import cli

PLACE = "<!-- the help of every command -->"
WIDTH = 100


def on_page_markdown(markdown: str, **_: Any) -> str:
    if PLACE not in markdown:
        return markdown
    pages = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in help_texts(cli, "edgevid")]
    return markdown.replace(PLACE, "\n".join(pages))


def help_texts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Each command with its help, a group before the commands in it."""
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=WIDTH, **command.context_settings
    )
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None  # it is in the list
            yield from help_texts(inner, each, context)
