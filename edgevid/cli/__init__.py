"""The command line. One file per command; a command's module is imported when it is called or listed."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys

import click

from edgevid.errors import EdgevidError, os_error_line

COMMANDS = (
    "list", "export", "run", "bench", "compare", "search",
    "regress", "history", "train", "dataset", "eval", "explain",
    "inspect", "doctor",
)  # fmt: skip

BAD_INPUT = 2
INTERRUPTED = 130


class Commands(click.Group):
    """Finds ``edgevid NAME`` in ``edgevid.cli.NAME:command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]  # once the command is imported, `list` is its module here

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"edgevid.cli.{name}").command


@click.command(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="edgevid")
def cli() -> None:
    """Compile a video network for an edge device, verify it against PyTorch, and benchmark it."""


def console() -> None:
    """The entry point of the ``edgevid`` script: ``main`` in a process of its own.

    The process exits without Python's shutdown, which takes a tenth of a second to free what the process
    frees anyway, and can crash when it unloads FFmpeg while a thread still waits in it for a network.
    """
    try:
        main()
    except SystemExit as stop:
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError):  # click has reported it
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(stop.code if isinstance(stop.code, int) else 0)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; bad input is one line on stderr and exit status 2, never a traceback."""
    with contextlib.suppress(ValueError):  # a signal handler can only be set in the main thread
        # SIGTERM cleans up like Ctrl-C, so that no half-written bundle is left behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        status = cli.main(arguments, prog_name="edgevid", standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see '{context.command_path} --help')" if context else ""
        status = getattr(context.command, "bad_input", BAD_INPUT) if context else BAD_INPUT
        _fail(error.format_message() + hint, status)
    except EdgevidError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was changed", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(os_error_line(error))
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int = BAD_INPUT) -> None:
    # A message may quote an untrusted file; strip terminal control characters.
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
    click.echo(f"edgevid: {printable}", err=True)
    sys.exit(status)
