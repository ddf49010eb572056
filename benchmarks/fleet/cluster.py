"""Run the cells of a matrix on the devices of a Dask cluster, and record each result as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from edgevid.benchmarks.fleet.job import Job, run_job
from edgevid.benchmarks.fleet.roster import Device, Roster, device_of
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.benchmarks.matrix.runner import Runner
from edgevid.bundle.bundle import Bundle
from edgevid.errors import BenchmarkError, EdgevidError, first_line
from edgevid.specs.registry import check_choice

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10
POLL_S = 2.0
"""How often devices are looked for."""
PATIENCE_S = 60.0
"""How long cells wait for a device of their kind when the last one has gone."""

RunJob = Callable[[Job], "dict[str, Any]"]


def run_on_fleet(
    scheduler: str, runner: Runner, cells: Sequence[Cell], retry_failed: bool = False, job: RunJob = run_job
) -> None:
    """Measure what ``Runner.run`` would, on the devices of the kind in ``Cell.device``.

    ``job`` is what a worker does. Raises ``BenchmarkError`` if the scheduler does not answer or goes away,
    and for a kind that no worker has.
    """
    try:
        import distributed  # noqa: F401  # only to say at once that it is missing
    except ImportError as error:
        raise BenchmarkError(f"--scheduler needs {error.name}: pip install 'edgevid[fleet]'") from error
    waiting = runner.start(cells, retry_failed)
    try:
        asyncio.run(_Fleet(runner, waiting, len(cells), job).run(scheduler))
    except (OSError, TimeoutError) as error:
        raise BenchmarkError(
            f"the scheduler '{scheduler}' cannot be reached ({first_line(error)}): check its address, "
            "and run the same command again to continue"
        ) from error


class _Fleet:
    """One run. Every device has a coroutine, which ends when all is done or its device is gone."""

    def __init__(self, runner: Runner, cells: Sequence[Cell], total: int, job: RunJob) -> None:
        self._runner, self._cells, self._total, self._job = runner, cells, total, job
        self._started = total - len(cells)
        self._name, self._numbers = uuid.uuid4(), itertools.count()
        self._ends = False
        self._served: dict[str, asyncio.Task[None]] = {}
        self._last_seen: dict[str, float] = {}
        self._bundles: dict[str, tuple[str, str]] = {}
        # Journal and store are written one after another, and not in the way of the network.
        self._writer = ThreadPoolExecutor(max_workers=1)

    async def run(self, scheduler: str) -> None:
        from distributed import Client

        async with Client(scheduler, asynchronous=True, timeout=CONNECT_S, set_as_default=False) as client:
            present = await self._present(client)
            kinds = {device.kind for device in present.values()}
            for kind in dict.fromkeys(cell.device for cell in self._cells):
                check_choice("kind of device", kind, sorted(kinds), _advice(scheduler, kinds))
            exported = [cell for cell in self._cells if await self._write(self._export, cell)]
            self._roster = Roster(exported)
            try:
                while not self._roster.is_done:
                    self._serve(client, present)
                    await self._give_up()
                    await self._until_done_or_poll()
                    present = await self._present(client)
            finally:
                self._ends = True
                for task in self._served.values():
                    task.cancel()
                await asyncio.gather(*self._served.values(), return_exceptions=True)
                self._writer.shutdown()

    async def _present(self, client: Client) -> dict[str, Device]:
        """The devices of the workers that are there now."""
        if client.status != "running":
            raise OSError("it went away")
        identity = await client.scheduler.identity(n_workers=-1)  # type: ignore[union-attr]  # connected
        names = {name for worker in identity["workers"].values() for name in worker["resources"]}
        return {device.resource: device for device in map(device_of, names) if device}

    def _export(self, cell: Cell) -> bool:
        """Find the cell's bundle and its hash; False if it failed, which is recorded."""
        try:
            folder = self._runner.bundle_of(cell)
            self._bundles[cell.key] = (folder, cell.identity or Bundle.open(folder).sha256)
        except EdgevidError as error:
            self._runner.record_failure(cell, str(error))
            return False
        return True

    def _serve(self, client: Client, present: dict[str, Device]) -> None:
        """Start coroutines for new devices, and cancel those of devices that have gone."""
        now = time.monotonic()
        self._roster.devices = present
        self._last_seen |= {device.kind: now for device in present.values()}
        for name, device in present.items():
            if name not in self._served:
                self._served[name] = asyncio.create_task(self._use(client, device))
        for name in self._served.keys() - present.keys():
            self._served.pop(name).cancel()

    async def _give_up(self) -> None:
        limit = time.monotonic() - PATIENCE_S
        lonely = [kind for kind in self._roster.kinds if self._last_seen.get(kind, 0) < limit]
        for cell, reason in list(self._roster.give_up(lonely)):
            await self._write(self._runner.record_failure, cell, reason)

    async def _until_done_or_poll(self) -> None:
        if self._served:
            await asyncio.wait(self._served.values(), timeout=POLL_S)
        else:
            await asyncio.sleep(POLL_S)
        for task in [task for task in self._served.values() if task.done()]:
            task.result()  # raises what went wrong

    async def _use(self, client: Client, device: Device) -> None:
        """Measure on ``device`` until there is nothing to measure."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        while (cell := await self._roster.take(device)) is not None:
            self._started += 1
            self._runner.say(
                f"{min(self._started, self._total)}/{self._total} {cell.title} on {device.resource} ..."
            )
            try:
                answer = await self._measure(client, cell, device)
            except (asyncio.CancelledError, CancelledError, KilledWorker):
                # The device is gone, or Dask has lost the work. At the end of a run nothing is lost.
                if self._ends or client.status != "running":
                    return
                if given_up := self._roster.lose(device):
                    await self._write(self._runner.record_failure, *given_up)
                if device.resource not in self._roster.devices:
                    return
            except Exception as error:  # whatever a worker raises, such as that it has no edgevid
                await self._failed(device, f"{device.resource}: {type(error).__name__}: {first_line(error)}")
            else:
                if "failure" in answer:
                    await self._failed(device, f"{device.resource}: {answer['failure']}")
                else:
                    await self._write(self._runner.record, cell, answer["result"])
                    self._roster.finish(device)

    async def _failed(self, device: Device, reason: str) -> None:
        if cell := self._roster.fail(device, reason):
            await self._write(self._runner.record_failure, cell, reason)

    async def _measure(self, client: Client, cell: Cell, device: Device) -> dict[str, Any]:
        folder, sha256 = self._bundles[cell.key]
        how = (cell.threads, cell.duration_s, cell.settings, cell.pinned, cell.power)
        job = Job(sha256, cell.scenario, device.address, *how)
        answer = await self._submit(client, job, device)
        if answer.get("missing"):
            answer = await self._submit(client, job.with_bundle(folder), device)
        return answer

    async def _submit(self, client: Client, job: Job, device: Device) -> dict[str, Any]:
        key = f"edgevid-{self._name}-{next(self._numbers)}"
        future = client.submit(self._job, job, key=key, resources={device.resource: 1}, pure=False)
        try:
            return await future
        finally:
            with contextlib.suppress(Exception):
                future.release()  # a task that waits for a lost device is forgotten too

    async def _write(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *arguments)


def _advice(scheduler: str, kinds: set[str]) -> str:
    if not kinds:
        return f"no worker of '{scheduler}' has devices; start one with --resources KIND:NAME=1"
    return f"the workers of '{scheduler}' have {', '.join(sorted(kinds))}"
