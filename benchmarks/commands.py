"""Run another program briefly: what it printed, or the reason why it is of no use here."""

from __future__ import annotations

import shutil
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
        done = subprocess.run(
            command, capture_output=True, timeout=timeout_s, cwd=cwd, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(why=f"{program} did not answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(why=f"{program} does not start: {error.strerror or error}")
    output = done.stdout.decode(errors="replace").strip()
    if done.returncode == 0:
        return Answer(output)
    said = (done.stderr.decode(errors="replace").strip() or output).splitlines()
    return Answer(output, f"{program} failed: {said[-1].strip()}" if said else f"{program} failed")
