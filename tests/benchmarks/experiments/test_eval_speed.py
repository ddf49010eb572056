"""The stages of an evaluation, each by itself, do as much as all of them together."""

from __future__ import annotations

from one_bundle import write_running_bundle
from one_video import write_videos

from edgevid.benchmarks.evaluation.evaluate import Evaluation, Request
from edgevid.benchmarks.experiments.eval_speed import Stages, report
from edgevid.video.datasets import LabelledVideo


def test_each_stage_goes_through_all_videos(tmp_path, monkeypatch):
    bundle = write_running_bundle(tmp_path / "bundle")
    paths = list(write_videos(tmp_path / "videos", 2).iterdir())
    videos = [LabelledVideo(paths[number % 2], 0, str(number)) for number in range(7)]
    evaluation = Evaluation(bundle.path, list("abcde"), Request(threads=1, readers=1))
    stages = Stages(evaluation, videos, readers=2)
    runs = []
    run = evaluation.session.run
    monkeypatch.setattr(evaluation.session, "run", lambda clip: runs.append(clip) or run(clip))
    for stage, count in ((stages.together, 7), (stages.reading, 0), (stages.inference, 7)):
        runs.clear()
        stage()
        assert len(runs) == count, stage.__name__


def test_the_report_compares_with_the_slower_stage_or_with_both(capsys):
    for setting in ("a core for each stage", "every core for both"):
        times = {"together": [12.0, 12.0], "reading": [3.0, 3.0], "inference": [11.0, 11.0]}
        report(setting, {f"{setting}: {stage}": values for stage, values in times.items()})
    out = capsys.readouterr().out
    assert "a core for each stage: 0.917" in out
    assert "every core for both: 1.167" in out
