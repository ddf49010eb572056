"""The workers of a Dask cluster predict what this process does."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from one_bundle import write_running_bundle
from one_video import write_videos

from edgevid.benchmarks.evaluation import cluster
from edgevid.benchmarks.evaluation.evaluate import Request
from edgevid.benchmarks.evaluation.run import evaluate
from edgevid.errors import BenchmarkError
from edgevid.video.datasets import Dataset, LabelledVideo


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "cache_folder", lambda: tmp_path / "cache")
    cluster._evaluation.cache_clear()
    return write_running_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = write_videos(tmp_path_factory.mktemp("videos"), 6)
    (folder / "broken.mp4").write_bytes(b"nothing")
    videos = [
        LabelledVideo(path, number % 5, path.name) for number, path in enumerate(sorted(folder.iterdir()))
    ]
    return Dataset("stripes", folder, "test", tuple("abcde"), tuple(videos))


def shard(bundle, dataset: Dataset, **changes) -> cluster.Shard:
    made = cluster.Shard(bundle.sha256, dataset.root, dataset.classes, Request(), dataset.videos[:1])
    return replace(made, **changes)


@pytest.mark.slow
def test_a_cluster_gives_the_figures_of_this_process_bit_for_bit(bundle, dataset, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "SHARD", 2)
    here = evaluate(bundle.path, dataset, Request())
    with contextlib.closing(
        distributed.LocalCluster(n_workers=2, processes=False, threads_per_worker=1, dashboard_address=None)
    ) as local:
        run_videos = cluster.Cluster(local.scheduler_address, bundle.path, dataset).run
        there = evaluate(bundle.path, dataset, Request(), run_videos=run_videos)
    assert there.records == here.records
    assert {**there.result, "seconds": 0} == {**here.result, "seconds": 0}
    assert len(here.records) == 6 and here.result["skipped"][0]["file"].endswith("broken.mp4")


def test_a_worker_asks_for_a_bundle_that_it_lacks(bundle, dataset):
    assert cluster.run_shard(shard(bundle, dataset)) == {"missing": True}


def test_a_worker_without_the_data_set_says_so(bundle, dataset):
    packed = cluster.pack(bundle.path)
    answer = cluster.run_shard(shard(bundle, dataset, root=Path("/nowhere"), packed=packed))
    assert answer == {"failure": "it has no '/nowhere': mount the data set there on every worker"}


def test_a_scheduler_that_does_not_answer_is_one_line(bundle, dataset, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    run_videos = cluster.Cluster("tcp://127.0.0.1:9", bundle.path, dataset).run
    with pytest.raises(BenchmarkError, match=r"the scheduler 'tcp://127.0.0.1:9' cannot be reached"):
        evaluate(bundle.path, dataset, Request(), run_videos=run_videos)
