"""A separate environment for ExecuTorch, whose packages conflict with edgevid's."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from edgevid.errors import BenchmarkError

EXECUTORCH = "executorch==1.5.1"


def make_environment(folder: Path, log: Callable[[str], None]) -> str:
    """The interpreter of an environment in ``folder`` that has executorch, created with pip if necessary."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.is_file() and _has_executorch(python):
        return str(python)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise BenchmarkError(f"'{folder}' is not an environment: pass an empty folder")
    # Exported programs are shared between the two environments, so both need the same torch.
    torch = importlib.metadata.version("torch").partition("+")[0]
    log(f"installing {EXECUTORCH} and torch {torch} into {folder}: this takes minutes")
    venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", EXECUTORCH, f"torch=={torch}"]
    result = subprocess.run(command, stdout=sys.stderr)
    if result.returncode:
        raise BenchmarkError(f"pip could not install {EXECUTORCH} into '{folder}': see its message above")
    return str(python)


def _has_executorch(python: Path) -> bool:
    return subprocess.run([python, "-c", "import executorch"], capture_output=True).returncode == 0
