"""Programs in processes that begin with everything imported and one export behind them.

Importing PyTorch and exporting for the first time take ten times as long as the export of a tiny network.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

FORKING = """
import json, os, sys, tempfile
import traced_once
traced_once.install()
from edgevid import export
with tempfile.TemporaryDirectory() as folder:
    export("tiny_network:Tiny", output=folder + "/bundle", frames=2, size=16)
for line in sys.stdin:
    program, arguments, streams = json.loads(line)
    if not (pid := os.fork()):
        break
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
for number, path in enumerate(streams, 1):
    os.dup2(os.open(path, os.O_WRONLY), number)
sys.argv[1:] = arguments
status = 0
try:
    exec(program, {"__name__": "__main__"})
except SystemExit as stop:
    status = stop.code
sys.stdout.flush(), sys.stderr.flush()
os._exit(status)  # as the command does; Python's shutdown takes longer than the export
"""


class WarmPython:
    """A process that forks one for each program; use it as a context."""

    def __init__(self) -> None:
        tests = str(Path(__file__).parent)
        path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def __enter__(self) -> WarmPython:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends a program that still runs, too."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def start(self, folder: Path, program: str, *arguments: object) -> int:
        """The process of ``program``, whose output goes to ``folder/stdout`` and ``folder/stderr``."""
        streams = [folder / name for name in ("stdout", "stderr")]
        for stream in streams:
            stream.touch()
        request = json.dumps([program, *([str(each) for each in group] for group in (arguments, streams))])
        print(request, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def exit_status(self) -> int:
        """Of the process that was started last, once it ends; negative if a signal ended it."""
        return int(self._process.stdout.readline())
