"""What a connection needs of ``ssh`` or ``adb``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol

from edgevid.errors import BenchmarkError

Upload = Callable[[Path, str, Callable[[], None]], None]
"""``upload(source, destination, report)`` copies a file to the board and calls ``report`` now and then."""


class Link(Protocol):
    """A way to a board. ``address`` names it to the user.

    ``open(command, errors)`` starts ``command`` in the board's shell, with pipes for its standard input and
    output and the file ``errors`` for the rest. Where there is no ``upload``, data goes through the pipe.
    ``explain`` says in one line why ssh or adb, which ended with ``status`` and printed ``errors``, has no
    connection.
    """

    address: str

    @property
    def upload(self) -> Upload | None: ...
    def open(self, command: str, errors: IO[bytes]) -> subprocess.Popen[bytes]: ...
    def explain(self, status: int, errors: Sequence[str]) -> str: ...


def start(program: str, arguments: Sequence[str], errors: IO[bytes], package: str) -> subprocess.Popen[bytes]:
    """Start ``program``; ``BenchmarkError`` names the Debian package if it is not installed."""
    try:
        return subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for edgevid, which then closes the connection in order
        )
    except OSError as error:
        raise BenchmarkError(
            f"the program '{program}' does not start ({error.strerror}): install it "
            f"(Debian: apt install {package})"
        ) from error
