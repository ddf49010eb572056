"""``edgevid compare``: what it refuses, what it writes, and its exit status."""

from __future__ import annotations

import json

import pytest
from one_bundle import CLIP, write_bundle, write_running_bundle
from one_comparison import process
from one_video import write_videos

from edgevid.benchmarks.harness import harness
from edgevid.cli.comparing import choices_of
from edgevid.errors import BenchmarkError


@pytest.fixture
def tiny(tmp_path):
    return write_bundle(tmp_path / "tiny").path


@pytest.fixture
def measured(monkeypatch):
    """The bundles that are measured, each at 10 ms."""
    paths: list[str] = []

    def measure(bundle, scenario, duration_s, threads, device, power):
        paths.append(bundle)
        return process(10.0)

    monkeypatch.setattr(harness, "measure", measure)
    return paths


def test_a_table_and_the_files(run_edgevid, tiny, measured, tmp_path):
    files = {"--json": tmp_path / "c.json", "--html": tmp_path / "c.html"}
    options = [str(part) for pair in files.items() for part in pair]
    result = run_edgevid("compare", tiny, "--rounds", 2, *options)
    assert result.status == 0 and len(measured) == 2
    assert "tiny" in result.out and "device observed: a simulated CPU" in result.out
    [saved] = json.loads(files["--json"].read_text())["points"]
    assert saved["latency_ms"]["p50"] == 10 and saved["bundle"] == str(tiny)
    assert "<table" in files["--html"].read_text()
    assert "round 1 of 2: " in result.err


def test_json_is_alone_on_standard_output(run_edgevid, tiny, measured):
    document = json.loads(run_edgevid("compare", tiny, "--rounds", 1, "--json").out)
    keys = {"model", "target", "backend", "precision", "frames", "size", "pareto", "accuracy", "latency_ms",
            "throughput", "memory_mib", "energy_mj_per_clip", "why_no_power"}  # fmt: skip
    assert keys <= set(document["points"][0])
    assert {"top1", "kind", "protocol", "dataset"} <= set(document["points"][0]["accuracy"])


def test_results_go_to_the_store_and_come_back(run_edgevid, tiny, measured, tmp_path, monkeypatch):
    pytest.importorskip("sqlalchemy")
    from edgevid.bundle.bundle import Bundle
    from edgevid.host import environment

    here = {**process(1)["environment"], "date_utc": "2026-11-28T10:00:00+00:00"}
    monkeypatch.setattr(environment, "observe", lambda: here)
    sha256 = Bundle.open(tiny).sha256
    result = process(10.0, model="tiny", bundle_sha256=sha256, environment=here)
    monkeypatch.setattr(harness, "measure", lambda *_, **__: measured.append("") or dict(result))
    arguments = ("compare", tiny, "--rounds", 3, "--store", tmp_path / "results.db", "--json")
    sources = [json.loads(run_edgevid(*arguments).out)["points"][0]["source"] for _ in range(2)]
    assert sources == ["measured", "store"] and len(measured) == 3


def test_a_bundle_that_cannot_run_is_a_row_and_status_one_if_it_is_the_only_one(
    run_edgevid, tiny, monkeypatch
):
    def measure(*_, **__):
        raise BenchmarkError("it crashed: run 'edgevid run'")

    monkeypatch.setattr(harness, "measure", measure)
    result = run_edgevid("compare", tiny)
    assert result.status == 1 and "failed (1): it crashed: run 'edgevid run'" in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["edgevid compare tsm_mbv2"]),
        (["nothing_like_it"], ["nothing_like_it"]),
        (["tsm_mbv2", "--backend", "onnx"], ["onnxruntime"]),
        (["tsm_mbv2", "--target", "gpuu"], ["gpu"]),
        (["tsm_mbv2", "--all-backends", "--precision", "fp32"], ["leave --backend and --precision out"]),
        (["tsm_mbv2", "tsm_r50", "--weights", "a.pth"], ["--weights MODEL=a.pth"]),
        (["tsm_mbv2", "--weights", "tsm_mbv2=none.pth"], ["none.pth"]),
        (["tsm_r101", "--weights", "digits"], ["no weights of tsm_r101 on 'digits'"]),
        (["tsm_mbv2", "--published", "Kinetics"], ["Kinetics-400"]),
        (["tsm_mbv2", "--all-backends", "--device", "ssh://board"], ["--all-backends is of this machine"]),
        (["tsm_mbv2", "--plot", "chart.gif"], [".svg or .png"]),
        (["tsm_mbv2", "--html", "/nowhere/page.html"], ["/nowhere/page.html"]),
        (["--json", "tsm_mbv2"], ["edgevid compare tsm_mbv2 --json FILE"]),
    ],
)
def test_wrong_use_is_refused_before_anything_is_exported(refuses, arguments, words):
    refuses(["compare", *arguments], *words)


def test_options_of_networks_are_refused_for_a_bundle(refuses, tiny):
    refuses(["compare", tiny, "--precision", "int8"], "a bundle has its own")


@pytest.mark.slow
@pytest.mark.parametrize("layout, folder", [("train/one", "train"), ("one", "")])
def test_int8_is_calibrated_on_the_training_videos(tmp_path, layout, folder):
    (tmp_path / layout).mkdir(parents=True)
    choices = choices_of(["tsm_mbv2"], [], [], ["int8"], [], [], [], None, str(tmp_path), "local")
    assert choices.calibration == str(tmp_path / folder)


@pytest.mark.slow
def test_speed_and_accuracy_are_measured_side_by_side(run_edgevid, tmp_path):
    bundle = write_running_bundle(tmp_path / "running").path
    for number in range(CLIP.classes):
        write_videos(tmp_path / "data" / f"class{number}", 1)
    arguments = ["--dataset", tmp_path / "data", "--rounds", 2, "--duration", 0.05, "--json"]
    document = json.loads(run_edgevid("compare", bundle, *arguments).out)
    [result] = document["points"]
    accuracy = result["accuracy"]
    assert (accuracy["kind"], accuracy["dataset"]) == ("measured", "data") and result["pareto"]
    assert accuracy["interval"][0] <= accuracy["top1"] <= accuracy["interval"][1]
    assert len(result["processes"]) == 2 and result["latency_ms"]["p50"] > 0


def test_a_data_set_that_is_none_is_refused_before_anything_is_measured(refuses, tiny, measured, tmp_path):
    refuses(["compare", tiny, "--dataset", tmp_path / "none"], "no data set at")
    assert measured == []
