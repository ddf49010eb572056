"""Run another program briefly: what it printed, or the reason why it is of no use here."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """``output`` is the standard output without surrounding blanks; ``why`` is empty if all went well."""

    output: str = ""
    why: str = ""

    @property
    def ok(self) -> bool:
        return not self.why


def ask(command: Sequence[str], timeout_s: float = 3.0, cwd: Path | None = None) -> Answer:
    """Run ``command``; never raises, however broken the program is."""
    program = command[0]
    if shutil.which(program) is None:
        return Answer(why=f"{program} is not installed")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        return Answer(why=f"{program} does not start: {error.strerror or error}")
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # Its children too: one of them that keeps the pipe open would make the wait endless.
            with contextlib.suppress(OSError):  # they may all have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            return Answer(why=f"{program} did not answer within {timeout_s:g} s")
    output = stdout.decode(errors="replace").strip()
    if process.returncode == 0:
        return Answer(output)
    said = (stderr.decode(errors="replace").strip() or output).splitlines()
    return Answer(output, f"{program} failed: {said[-1].strip() if said else _status(process.returncode)}")


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
