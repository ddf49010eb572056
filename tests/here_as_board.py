"""Boards of tests: this computer without ssh, with a worker that does what its request says (simulated)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, os, signal, sys, time
request = json.loads(sys.stdin.readline())
def emit(**event):
    print(json.dumps(event), flush=True)
print("a library says hello", file=sys.stderr)
emit(event="progress", phase="measuring", elapsed_s=0.0, total_s=request["duration_s"], p50_ms=None)
if request["threads"] == 9:
    os.kill(os.getpid(), signal.SIGKILL)
if request["threads"] == 7:
    emit(event="error", kind="BundleError", message="the bundle is cut short: export it again")
    sys.exit(1)
end = time.monotonic() + request["duration_s"]
while time.monotonic() < end:
    time.sleep(0.02)
environment = {"device": "a simulated board", "pid": os.getpid()}
emit(event="result", result={"model": "tiny", "target": "cpu", "backend": "onnxruntime", "precision": "fp32",
    "scenario": request["scenario"], "threads": 1, "bundle": request["bundle"], "environment": environment,
    "latency_ms": {"mean": 1.5, "p50": 1.5, "p90": 1.9, "p99": 2.0}, "streaming": False,
    "throughput": {"clips_per_s": 667.0, "frames_per_s": 2667.0}, "memory_mib": {"peak": 1.0, "weights": 1.0},
    "weights": {"source": "seed 0", "random": True}, "power_w": None, "why_no_power": "it is simulated",
    "samples_ms": [1.0, 2.0], "warnings": []})
"""
OUT_OF_MEMORY, REFUSES = 9, 7
"""Numbers of threads that make the simulated worker die, and refuse."""


def python_with_simulated_worker(folder: Path) -> Path:
    """A command that is this Python, but for the worker."""
    (folder / "worker.py").write_text(WORKER)
    command = folder / "python"
    command.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -m ]; then exec "{sys.executable}" "{folder}/worker.py"; fi\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    command.chmod(0o755)
    return command


class Here:
    """This computer as a board, its home and lock in ``home``; ``process`` is the latest connection's."""

    upload = None

    def __init__(self, home: Path, **variables: str) -> None:
        self.address = "here"
        self.home = home
        self.variables = {"HOME": str(home), "EDGEVID_LOCK_FOLDER": str(home), **variables}

    @property
    def board(self) -> Path:
        return self.home / ".cache" / "edgevid" / "board"

    def workers(self) -> list[int]:
        """The simulated workers of this board that run."""
        script = str(self.home.parent / "worker.py")
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        return [pid for pid in pids if script in words_of(pid) and is_running(pid)]

    def open(self, command: str, errors) -> subprocess.Popen:
        ours = ("EDGEVID_CACHE", "XDG_CACHE_HOME")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        self.process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**environment, **self.variables},
            start_new_session=True,
        )
        return self.process

    def explain(self, status: int, errors) -> str:
        return f"status {status}: {' '.join(errors)}"


def words_of(pid: int) -> list[str]:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
