"""``edgevid search``: what it refuses, and its exit status."""

from __future__ import annotations

import json

import pytest
from one_bundle import write_bundle
from one_comparison import process

from edgevid.benchmarks.harness import harness


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A bundle with a published accuracy that takes 10 ms."""
    import dataclasses

    from one_bundle import CLIP

    from edgevid.specs import Preprocessing

    clip = dataclasses.replace(CLIP.inputs[0], shape=(1, 8, 3, 224, 224))
    manifest = dataclasses.replace(
        CLIP, model="tsm_mbv2", frames=8, inputs=(clip,), preprocessing=Preprocessing()
    )
    monkeypatch.setattr(harness, "measure", lambda *_, **__: process(10.0))
    return write_bundle(tmp_path / "tiny", manifest).path


def test_the_proposal_and_its_file(run_edgevid, tiny, tmp_path):
    file = tmp_path / "search.json"
    arguments = ["search", tiny, "--target", "cpu", "--budget", "latency=30ms", "--rounds", 2, "--json", file]
    result = run_edgevid(*arguments)
    assert result.status == 0 and "within 30 ms: tsm_mbv2 fp32, 8 frames of 224 pixels" in result.out
    assert json.loads(file.read_text())["best"]["latency_ms"]["p50"] == 10


def test_status_one_where_nothing_fits(run_edgevid, tiny):
    result = run_edgevid(
        "search", tiny, "--target", "cpu", "--budget", "latency=3ms", "--rounds", 1, "--json"
    )
    assert result.status == 1 and json.loads(result.out)["best"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "cpu"], ["--budget"]),
        (["--budget", "latency=30ms"], ["--target"]),
        (["--target", "cpu", "--budget", "30ms"], ["latency=30ms"]),
        (["--target", "cpuu", "--budget", "latency=30ms"], ["cpu"]),
        (["--target", "jetson", "--budget", "latency=30ms"], ["jetson is not this machine", "--device"]),
        (["nothing", "--target", "cpu", "--budget", "latency=30ms"], ["nothing"]),
        (["--target", "cpu", "--budget", "latency=30ms", "--published", "UCF"], ["did you mean UCF-101"]),
        (["--target", "cpu", "--budget", "latency=30ms", "--dataset", "."], ["--weights MODEL=FILE"]),
        (
            ["tsm_r101", "--target", "cpu", "--budget", "latency=30ms", "--weights", "digits"],
            ["no weights of tsm_r101 on 'digits'"],
        ),
        (
            ["tsm_r50", "--target", "cpu", "--budget", "latency=30ms", "--dataset", "."],
            ["--weights tsm_r50=FILE"],
        ),
    ],
)
def test_wrong_use_is_refused(refuses, arguments, words):
    refuses(["search", *arguments], *words)
