"""kill -9 of the gate in the middle: its workers end too, and the next gate begins at once."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from one_bundle import write_bundle

GATE = """
import sys
from edgevid.benchmarks.harness import process
from edgevid.benchmarks.regress import gate
from edgevid.cli import main
process.WORKER = tuple(sys.argv[1:3])
gate.warm_up = lambda *_: None  # one process would hang there; a pair has two
main(["regress", *sys.argv[3:]])
"""


def wait_for(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_killed_gate_leaves_no_worker_no_file_and_no_lock(worker_that, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    out.mkdir()
    for name in ("old", "new"):
        write_bundle(tmp_path / name)
    arguments = ["--baseline", tmp_path / "old", "--candidate", tmp_path / "new"]
    reports = ["--json", out / "v.json", "--report", f"junit:{out / 'j.xml'}"]
    command = [sys.executable, "-c", GATE, *worker_that(hang=True), *arguments, *reports]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as gate:
        wait_for(lambda: sum(bool(path.read_text()) for path in tmp_path.glob("*/pid")) == 2)
        workers = [int(path.read_text()) for path in tmp_path.glob("*/pid")]
        assert all(map(is_running, workers))
        os.kill(gate.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(is_running, workers)), seconds=10)
    assert list(out.iterdir()) == []
    with (tmp_path / "cache" / "regress.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
