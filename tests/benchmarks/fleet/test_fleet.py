"""A real scheduler and real workers of Dask, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import fleet_jobs
import pytest
from one_bundle import write_bundle
from one_result import result

from edgevid.benchmarks.experiments.matrix_kills import fake_cells
from edgevid.benchmarks.fleet import job as jobs
from edgevid.benchmarks.fleet.cluster import run_on_fleet
from edgevid.benchmarks.harness import harness
from edgevid.benchmarks.harness.protocol import Settings
from edgevid.benchmarks.matrix.journal import Journal
from edgevid.benchmarks.matrix.runner import Runner
from edgevid.errors import BenchmarkError, UnknownNameError

JOB = jobs.Job("abc", "offline", "local", 2, 3.0, Settings(), True, None)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """``address``, and ``workers`` by the folder of their device: two of kind nano and one of kind orin."""
    distributed = pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("fleet")
    environment = {**os.environ, "PYTHONPATH": str(Path(fleet_jobs.__file__).parent)}
    with contextlib.ExitStack() as stack:
        start = [sys.executable, "-m"]
        scheduler_file = folder / "scheduler.json"
        options = ["--no-dashboard", "--no-show", "--host", "127.0.0.1", "--port", "0"]
        launch(
            stack,
            folder,
            environment,
            [*start, "distributed.cli.dask_scheduler", *options, "--scheduler-file", str(scheduler_file)],
        )
        wait_for(scheduler_file.exists)
        workers = {}
        for name, kind in (("a", "nano"), ("b", "nano"), ("c", "orin")):
            (folder / name).mkdir()
            resource = f"{kind}:{name}:{folder / name}=1"
            options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--resources", resource]
            command = [
                *start,
                "distributed.cli.dask_worker",
                "--scheduler-file",
                str(scheduler_file),
                *options,
            ]
            workers[folder / name] = launch(stack, folder / name, environment, command)
        address = json.loads(scheduler_file.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        yield address, workers


def launch(stack, folder, environment, command):
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stderr=log)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def wait_for(condition, limit_s: float = 60):
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def run(address, path, cells):
    with Journal(path) as journal:
        said: list[str] = []
        runner = Runner(
            journal, lambda cell: cell.name, lambda cell, bundle: pytest.fail("here"), said.append
        )
        run_on_fleet(address, runner, cells, job=fleet_jobs.measured)
        return [result["model"] for _, result in journal.results()], dict(journal.failures), said


def cells_of(kind, *names, duration_s=0.05):
    return [replace(cell, device=kind) for cell in fake_cells(*names, duration_s=duration_s)]


@pytest.mark.slow
def test_a_fleet_measures_refuses_and_survives_the_death_of_a_worker(cluster, tmp_path):
    """One test, as a cluster takes seconds to start and its workers die one after another."""
    address, workers = cluster
    (a, _), (b, _), (orin, _) = workers.items()

    # Each cell is measured once, on a device of its kind, and both nanos have work.
    cells = cells_of("nano", *"1234") + cells_of("orin", "5")
    found, failures, said = run(address, tmp_path / "first.jsonl", cells)
    assert sorted(found) == list("12345") and failures == {}
    assert (orin / "started").read_text().split()[0] == "5"
    assert (a / "started").exists() and (b / "started").exists()
    assert any(" on nano:a" in line for line in said)

    # A kind that no worker has is refused at once, with the nearest one.
    with pytest.raises(UnknownNameError, match="unknown kind of device 'nanoo': did you mean nano"):
        run(address, tmp_path / "unknown.jsonl", cells_of("nanoo", "1"))

    # What fails on one device is tried on another of its kind; where there is none it has failed.
    for folder in (a, orin):
        (folder / "fails").touch()
    found, failures, _ = run(
        address, tmp_path / "second.jsonl", cells_of("nano", *"67") + cells_of("orin", "8")
    )
    assert sorted(found) == list("67")
    assert [reason.rpartition(": ")[2] for reason in failures.values()] == ["check the cable"]
    (a / "fails").unlink()

    # A worker that is killed while it measures: its cell is measured on the other device.
    (a / "started").unlink()

    def kill_once_measuring():
        wait_for((a / "started").exists)
        workers[a].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_once_measuring)
    killer.start()
    found, failures, _ = run(address, tmp_path / "third.jsonl", cells_of("nano", *"efghij", duration_s=0.3))
    killer.join()
    assert sorted(found) == list("efghij") and failures == {}


def test_a_scheduler_that_does_not_answer_is_refused_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("edgevid.benchmarks.fleet.cluster.CONNECT_S", 0.2)
    with pytest.raises(BenchmarkError, match=r"cannot be reached.*check its address"):
        run("tcp://127.0.0.1:1", tmp_path / "journal.jsonl", cells_of("nano", "1"))


def test_a_bundle_travels_once_and_is_measured_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    bundle = write_bundle(tmp_path / "net.cpu")
    seen = []

    def measure(folder, *arguments, **options):
        seen.append((sorted(path.name for path in folder.iterdir()), arguments, options["device"]))
        return result(1)

    monkeypatch.setattr(harness, "measure", measure)
    assert jobs.run_job(JOB) == {"missing": True}
    for job in (JOB.with_bundle(str(bundle.path)), JOB):
        assert jobs.run_job(job) == {"result": result(1)}
    names = sorted(path.name for path in bundle.path.iterdir())
    assert seen == [(names, ("offline", 3.0, 2), "local")] * 2


def test_a_measurement_that_cannot_be_made_gives_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path))
    (tmp_path / "fleet" / "abc").mkdir(parents=True)

    def measure(*arguments, **options):
        raise BenchmarkError("the board is busy: wait")

    monkeypatch.setattr(harness, "measure", measure)
    assert jobs.run_job(JOB) == {"failure": "the board is busy: wait"}
