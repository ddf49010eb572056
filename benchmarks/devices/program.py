"""The program for a board as one line of text, and the command that runs it from standard input."""

from __future__ import annotations

import base64
import functools
import shlex
import zlib
from importlib.resources import files

PACKAGE = "edgevid.benchmarks.devices.board"
MODULES = (
    "lock", "channel", "files", "journal", "processes", "environment", "pythons", "worker", "trtexec", "main",
)  # fmt: skip
"""Each after those that it imports."""

NO_PYTHON = 86
"""The exit status of the command where there is no Python 3."""

# One line of standard input, or what there is of it. No quotes, dollars or backslashes: it goes through a
# shell of the board, and first through the user's login shell, which may be any.
READ = (
    "import os,zlib,base64;"
    "line=iter(lambda:os.read(0,1)or bytes([10]),bytes([10]));"
    "exec(zlib.decompress(base64.b64decode(bytes().join(line))))"
)
NAMES = "python3 " + " ".join(f"python3.{minor}" for minor in range(14, 5, -1))
START = (
    f'for p in {NAMES}; do if command -v $p >/dev/null 2>&1; then exec $p -c "{READ}"; fi; done; '
    f"exit {NO_PYTHON}"
)

LOADER = """
import sys, types
for name, source in {sources!r}:
    module = sys.modules[name] = types.ModuleType(name)
    parent, _, child = name.rpartition(".")
    if parent in sys.modules:
        setattr(sys.modules[parent], child, module)
    module.__path__ = []
    exec(compile(source, name, "exec"), module.__dict__)
sys.modules["{package}.main"].serve()
"""


def command(python: str | None = None) -> str:
    """The command for the board's shell; ``python`` is the user's choice, the only word that is not fixed."""
    if python is None:
        return f"exec sh -c '{START}'"
    script = f'command -v "$0" >/dev/null 2>&1 || exit {NO_PYTHON}; exec "$0" -c "{READ}"'
    return f"exec sh -c '{script}' {shlex.quote(python)}"


@functools.cache
def program() -> bytes:
    """The line to send to the command."""
    folder = files(PACKAGE)
    parents = [".".join(PACKAGE.split(".")[:count]) for count in range(1, PACKAGE.count(".") + 2)]
    sources = [(name, "") for name in parents]
    sources += [(f"{PACKAGE}.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in MODULES]
    text = LOADER.format(sources=sources, package=PACKAGE)
    return base64.b64encode(zlib.compress(text.encode(), 9)) + b"\n"
