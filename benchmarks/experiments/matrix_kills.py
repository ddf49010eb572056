"""Kill a matrix run at random times, and check that nothing finished is lost or doubled.

Each run of ``--cells`` measurements is killed (SIGKILL) and started again until all are done, then the next
run starts, until there were ``--kills``. The measurements are those of a fake worker, each in a process of
its own, which notes it in a file before it sends the result: a witness of what a kill has lost. The journal
is checked after each kill, the store at the end of each run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.harness import measure
from edgevid.benchmarks.matrix.journal import Journal
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.benchmarks.matrix.runner import Runner
from edgevid.benchmarks.store import open_store
from edgevid.benchmarks.store.engine import name_of, url_of
from edgevid.benchmarks.store.recorder import Recorder
from edgevid.specs import LOCAL

WORKER = """
import json, os, random, sys, time
request = json.loads(sys.stdin.readline())
name = request["bundle"]

def send(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)

if "broken" in name:
    send("error", kind="BundleError", message="the bundle is cut short: export it again")
    sys.exit(1)
send("progress", phase="measuring", elapsed_s=0, total_s=1, p50_ms=20)
time.sleep(request["duration_s"])
witnesses = os.open(sys.argv[1], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.write(witnesses, (name + "\\n").encode())
samples = [random.randrange(20_000_000, 21_000_000) / 1e6 for _ in range(500)]
latency = {"mean": 20.5, "p50": 20.5, "p90": 20.9, "p99": 21.0}
send("result", result={
    "model": name, "scenario": request["scenario"], "threads": request["threads"], "latency_ms": latency,
    "samples_ms": samples, "environment": {"device": "a simulated device"},
})
"""


def fake_cells(*names: str, duration_s: float = 0.005) -> list[Cell]:
    """A cell for each name, measured by ``fake_measure``; "broken" fails."""
    return [Cell(name, name, name, None, None, "single-stream", LOCAL, None, duration_s) for name in names]


def fake_measure(witnesses: Path) -> Callable[[Cell, str], dict[str, Any]]:
    """``Runner.measure`` by a fake worker in a fresh process, which writes to the file ``witnesses``."""
    worker = (sys.executable, "-I", "-S", "-c", WORKER, str(witnesses))

    def measure_cell(cell: Cell, bundle: str) -> dict[str, Any]:
        assert cell.duration_s is not None
        return measure(bundle, cell.scenario, cell.duration_s, cell.threads, worker=worker)

    return measure_cell


@dataclass
class Kills:
    """Runs of ``count`` cells with results in the store at ``address``, and what was seen of them."""

    address: str
    count: int
    folder: Path
    within_s: float
    chance: random.Random
    kills: int = 0
    runs: int = 0
    measurements: int = 0
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run_until(self, kills: int) -> None:
        open_store(self.address)  # imported before the forks, so that kills come amid measurements
        while self.kills < kills:
            self.runs += 1
            journal, witnesses = self.folder / f"{self.runs}.jsonl", self.folder / f"{self.runs}.witnesses"
            cells = fake_cells(*(f"run{self.runs}-{number}" for number in range(self.count)))
            kills_before, seen = self.kills, set[str]()
            ended = False
            while not ended:  # a run that is killed after its last measurement may not have stored it
                ended = self._start(cells, journal, witnesses, kills)
                seen = self._check(journal, seen)
            assert len(seen) == self.count
            measured = Counter(witnesses.read_text().splitlines())
            assert set(measured) == {cell.name for cell in cells}
            # A kill costs the running measurement and no other.
            assert measured.total() <= self.count + self.kills - kills_before
            self.measurements += measured.total()
            self._check_store(journal)

    def _start(self, cells: list[Cell], journal: Path, witnesses: Path, kills: int) -> bool:
        """Run in a process that is killed if there are kills left; whether it came to its end before."""
        child = os.fork()
        if not child:
            status = 1
            try:
                _run(cells, journal, witnesses, self.address)
                status = 0
            finally:
                os._exit(status)
        if self.kills < kills:
            time.sleep(self.chance.uniform(0, self.within_s))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL), f"the run ended with {status}"
        self.kills += status != 0
        return status == 0

    def _check(self, path: Path, before: set[str]) -> set[str]:
        """The cells that are finished, which include those ``before``."""
        if not path.exists():
            return set()
        with Journal(path) as journal:
            finished = [key for key, _ in journal.results()]
            assert not journal.failures, journal.failures
        assert len(finished) == len(set(finished)), "a measurement is in the journal twice"
        assert before <= set(finished), "a finished measurement is lost"
        return set(finished)

    def _check_store(self, path: Path) -> None:
        """The store has the results of this run's journal and of all before, each once and unchanged."""
        with Journal(path) as journal:
            self.stored |= {result["measurement_id"]: result for _, result in journal.results()}
        found = list(open_store(self.address).results())
        assert (len(found), len(self.stored)) == (self.runs * self.count,) * 2
        assert {result["measurement_id"]: result for result in found} == self.stored


def _run(cells: list[Cell], path: Path, witnesses: Path, address: str) -> None:
    recorder = Recorder(address, print, path.with_suffix(".unsaved"))
    with Journal(path) as journal:
        measuring, silent = fake_measure(witnesses), lambda line: None
        Runner(journal, lambda cell: cell.name, measuring, silent, recorder.add, recorder.known).run(cells)
    assert not recorder.unsaved


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", action="append", metavar="URL", help="repeatable (a temporary file)")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--cells", type=int, default=50)
    parser.add_argument("--within", type=float, default=1.5, help="seconds from start to kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for number, address in enumerate(options.store or [""]):
        with tempfile.TemporaryDirectory(prefix="edgevid-kills-") as folder:
            address = address or f"{folder}/results.db"
            study = Kills(
                address, options.cells, Path(folder), options.within, random.Random(options.seed + number)
            )
            start = time.monotonic()
            study.run_until(options.kills)
            figures = {
                "store": name_of(url_of(address)),
                "kills": study.kills,
                "runs": study.runs,
                "cells": options.cells,
                "finished": len(study.stored),
                "running_when_killed": study.measurements - len(study.stored),
                "seconds": round(time.monotonic() - start),
            }
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
