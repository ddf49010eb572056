"""Evaluate the videos of a data set on the workers of a Dask cluster."""

from __future__ import annotations

import itertools
import queue
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevid.benchmarks.evaluation.evaluate import Evaluation, Request
from edgevid.benchmarks.evaluation.records import Record, Skipped
from edgevid.benchmarks.fleet.job import BUNDLES, pack, unpack
from edgevid.errors import BenchmarkError, EdgevidError, first_line
from edgevid.host.cache import cache_folder
from edgevid.video.datasets import Dataset, LabelledVideo

if TYPE_CHECKING:
    from distributed import Client, Future

SHARD = 16
"""Videos of a task: what is evaluated again when a worker goes away."""
PER_WORKER = 2
"""Tasks that a worker has: one that runs, and the next."""
CONNECT_S = 10
POLL_S = 2.0
PATIENCE_S = 60.0
"""How long tasks wait for a worker when the last one has gone."""

_one_at_a_time = threading.Lock()
"""A worker's threads share its cores, and each evaluation uses all of them."""


@dataclass(frozen=True)
class Shard:
    """Some videos of the data set at ``root``; ``packed`` is the bundle if the worker does not have it."""

    sha256: str
    root: Path
    classes: tuple[str, ...]
    request: Request
    videos: tuple[LabelledVideo, ...]
    packed: bytes | None = None


def run_shard(shard: Shard) -> dict[str, Any]:
    """``{"outcomes": [...]}``, ``{"failure": reason}``, or ``{"missing": True}`` if it lacks the bundle."""
    folder = cache_folder() / BUNDLES / shard.sha256
    with _one_at_a_time:
        if not folder.is_dir():
            if shard.packed is None:
                return {"missing": True}
            unpack(shard.packed, folder)
        if not shard.root.exists():
            return {"failure": f"it has no '{shard.root}': mount the data set there on every worker"}
        try:
            return {"outcomes": list(_evaluation(folder, shard.classes, shard.request).run(shard.videos))}
        except (EdgevidError, OSError) as error:
            return {"failure": str(error)}


@lru_cache(maxsize=1)
def _evaluation(folder: Path, classes: tuple[str, ...], request: Request) -> Evaluation:
    return Evaluation(folder, classes, request)


class Cluster:
    """Runs videos on the workers of ``scheduler``, which reach the data set at the same path as this machine.

    Raises ``BenchmarkError`` if the scheduler does not answer, or a worker cannot evaluate.
    """

    def __init__(self, scheduler: str, bundle: Path, dataset: Dataset) -> None:
        try:
            import distributed  # noqa: F401  # only to say at once that it is missing
        except ImportError as error:
            raise BenchmarkError(f"--scheduler needs {error.name}: pip install 'edgevid[fleet]'") from error
        self._scheduler, self._bundle, self._dataset = scheduler, bundle, dataset
        self._name, self._numbers = uuid.uuid4(), itertools.count()

    def run(self, evaluation: Evaluation, videos: Iterable[LabelledVideo]) -> Iterator[Record | Skipped]:
        """Each video's outcome as it comes; those of a worker that goes away are evaluated by another."""
        from distributed import Client

        try:
            client = Client(self._scheduler, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise BenchmarkError(
                f"the scheduler '{self._scheduler}' cannot be reached ({first_line(error)}): "
                "check its address"
            ) from error
        with client:
            yield from self._run(client, evaluation, videos)

    def _run(
        self, client: Client, evaluation: Evaluation, videos: Iterable[LabelledVideo]
    ) -> Iterator[Record | Skipped]:
        waiting = self._shards(evaluation, videos)
        running: dict[Future[Any], Shard] = {}
        done: queue.Queue[Future[Any]] = queue.Queue()

        def submit(shard: Shard) -> None:
            key = f"edgevid-{self._name}-{next(self._numbers)}"
            future = client.submit(run_shard, shard, key=key, pure=False)
            running[future] = shard
            future.add_done_callback(done.put)

        seen_s = time.monotonic()
        workers = self._workers(client)
        if not workers:
            raise self._without_workers()
        while True:
            room = max(0, PER_WORKER * workers - len(running))
            for shard in itertools.islice(waiting, room):
                submit(shard)
            if not running:
                return
            try:
                future = done.get(timeout=POLL_S)
            except queue.Empty:
                workers = self._workers(client)
                seen_s = time.monotonic() if workers else seen_s
                if time.monotonic() > seen_s + PATIENCE_S:
                    raise self._without_workers() from None
                continue
            shard = running.pop(future)
            answer = self._answer(future)
            if answer.get("missing"):
                submit(replace(shard, packed=pack(self._bundle)))
            yield from answer.get("outcomes", ())

    def _answer(self, future: Future[Any]) -> dict[str, Any]:
        try:
            answer = future.result()
        except Exception as error:  # whatever a worker raises, such as that it has no edgevid
            raise self._failed(f"{type(error).__name__}: {first_line(error)}") from error
        if "failure" in answer:
            raise self._failed(answer["failure"])
        return answer

    def _workers(self, client: Client) -> int:
        if client.status != "running":
            raise self._failed("the scheduler went away")
        return len(client.scheduler_info(n_workers=-1)["workers"])

    def _without_workers(self) -> BenchmarkError:
        return BenchmarkError(
            f"'{self._scheduler}' has no workers: start one with 'dask worker {self._scheduler}'"
        )

    def _failed(self, why: str) -> BenchmarkError:
        return BenchmarkError(
            f"a worker of '{self._scheduler}' failed ({why}): repair it, and run again with --resume"
        )

    def _shards(self, evaluation: Evaluation, videos: Iterable[LabelledVideo]) -> Iterator[Shard]:
        remaining = iter(videos)
        dataset = self._dataset
        while chosen := tuple(itertools.islice(remaining, SHARD)):
            yield Shard(
                evaluation.session.bundle.sha256, dataset.root, dataset.classes, evaluation.request, chosen
            )
