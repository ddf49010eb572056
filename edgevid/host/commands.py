"""Run another program briefly, and return its output or the reason why it failed."""

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
class CommandResult:
    """``output`` is the stripped standard output; ``error`` is empty on success."""

    output: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def run(command: Sequence[str], timeout_s: float = 3.0, cwd: Path | None = None) -> CommandResult:
    """Run ``command``; never raises, however broken the program is."""
    program = command[0]
    if shutil.which(program) is None:
        return CommandResult(error=f"{program} is not installed")
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
        return CommandResult(error=f"{program} does not start: {error.strerror or error}")
    with process:
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # Its children too: one that keeps the pipe open would block the wait forever.
            with contextlib.suppress(OSError):  # they may all have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            return CommandResult(error=f"{program} did not finish within {timeout_s:g} s")
    output = stdout.decode(errors="replace").strip()
    if process.returncode == 0:
        return CommandResult(output)
    lines = (stderr.decode(errors="replace").strip() or output).splitlines()
    reason = lines[-1].strip() if lines else _status(process.returncode)
    return CommandResult(output, f"{program} failed: {reason}")


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
