"""Evaluate the videos of a data set on the workers of a Dask cluster."""

from __future__ import annotations

import itertools
import threading
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
CONNECT_S = 10

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
        from distributed import as_completed

        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise BenchmarkError(
                f"'{self._scheduler}' has no workers: start one with 'dask worker {self._scheduler}'"
            )
        shards = self._shards(evaluation, videos)
        running = as_completed(loop=client.loop)
        shard_of: dict[Future[Any], Shard] = {}

        def submit(shard: Shard) -> None:
            future = client.submit(
                run_shard, shard, key=f"edgevid-{self._name}-{next(self._numbers)}", pure=False
            )
            shard_of[future] = shard
            running.add(future)

        for shard in itertools.islice(shards, 2 * workers):
            submit(shard)
        for future in running:
            shard = shard_of.pop(future)
            try:
                answer = future.result()
            except Exception as error:  # whatever a worker raises, such as that it has no edgevid
                raise self._failed(f"{type(error).__name__}: {first_line(error)}") from error
            if answer.get("missing"):
                submit(replace(shard, packed=pack(self._bundle)))
                continue
            if "failure" in answer:
                raise self._failed(answer["failure"])
            following = next(shards, None)
            if following is not None:
                submit(following)
            yield from answer["outcomes"]

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
