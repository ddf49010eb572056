"""What it costs to drive many devices: simulated ones, whose measurements sleep.

The workers are ``--hosts`` processes, each with its share of the ``--devices``. Printed are the wall time
over the ideal one, and the CPU time per measurement of this process: Dask's scheduler, its client, and our
dispatcher with its journal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevid.benchmarks.experiments.matrix_kills import fake_cells
from edgevid.benchmarks.fleet.cluster import run_on_fleet
from edgevid.benchmarks.fleet.job import Job
from edgevid.benchmarks.matrix.journal import Journal
from edgevid.benchmarks.matrix.runner import Runner

KINDS = 10
SAMPLES = 100


def simulated(job: Job) -> dict[str, Any]:
    """A measurement that takes its duration and finds nothing."""
    time.sleep(job.duration_s or 0)
    result = {"model": job.sha256, "scenario": job.scenario, "samples_ms": [20.5] * SAMPLES}
    return {"result": result}


def host(scheduler: str, first: int, count: int) -> None:
    """A worker with ``count`` devices, until its input ends."""
    from distributed import Worker

    async def serve() -> None:
        devices = {f"kind{number % KINDS}:{number}": 1.0 for number in range(first, first + count)}
        options: dict[str, Any] = {"memory_limit": 0, "dashboard": False, "heartbeat_interval": "10s"}
        async with Worker(scheduler, nthreads=count, resources=devices, **options):
            await asyncio.to_thread(sys.stdin.read)

    logging.getLogger("distributed").setLevel(logging.WARNING)
    asyncio.run(serve())


@contextlib.contextmanager
def cluster(devices: int, hosts: int) -> Iterator[str]:
    """A scheduler in a thread of this process, and its workers; gives the address."""
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(
            LocalCluster(
                n_workers=0, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
            )
        )
        address = scheduler.scheduler_address
        for number in range(hosts):
            share = [
                str(number * devices // hosts),
                str((number + 1) * devices // hosts - number * devices // hosts),
            ]
            command = [
                sys.executable,
                "-m",
                "edgevid.benchmarks.experiments.fleet",
                "--host",
                address,
                *share,
            ]
            process = subprocess.Popen(command, stdin=subprocess.PIPE)
            stack.callback(process.wait)
            assert process.stdin is not None  # a pipe
            stack.callback(process.stdin.close)
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(hosts, timeout=120)
        yield address


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(address: str, devices: int, each: int, duration_s: float, journal_file: Path) -> dict[str, Any]:
    names = [f"bundle{number}" for number in range(devices * each)]
    cells = [
        replace(cell, device=f"kind{number % KINDS}")
        for number, cell in enumerate(fake_cells(*names, duration_s=duration_s))
    ]
    with Journal(journal_file) as journal:
        runner = Runner(journal, lambda cell: cell.name, lambda cell, bundle: {}, lambda line: None)
        start, cpu_before, thread_before = time.monotonic(), cpu_s(), time.thread_time()
        run_on_fleet(address, runner, cells, job=simulated)
        wall_s, used_s = time.monotonic() - start, cpu_s() - cpu_before
        thread_s = time.thread_time() - thread_before
        assert len(journal.measurement_ids) == len(cells) and not journal.failures
    return {
        "simulated_devices": devices,
        "measurements": len(cells),
        "seconds_each": duration_s,
        "wall_s": round(wall_s, 2),
        "ideal_s": each * duration_s,
        "over_ideal_ms_per_measurement": round(1000 * (wall_s - each * duration_s) / len(cells), 2),
        "cpu_ms_per_measurement": round(1000 * used_s / len(cells), 2),
        "of_which_dispatcher_and_client": round(1000 * thread_s / len(cells), 2),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--each", type=int, default=3, help="measurements for each device (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (5)")
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--host", nargs=3, metavar=("SCHEDULER", "FIRST", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.host:
        host(options.host[0], int(options.host[1]), int(options.host[2]))
        return
    with cluster(options.devices, options.hosts) as address, tempfile.TemporaryDirectory() as folder:
        figures = measure(address, options.devices, options.each, options.seconds, Path(folder, "journal"))
        print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
