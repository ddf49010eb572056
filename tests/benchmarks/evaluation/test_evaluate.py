"""Evaluation with a network that tells dark from bright, on videos that are dark or bright."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from fake_session import IMAGE, LABELS, FakeSession

from edgevid.benchmarks.evaluation.evaluate import Evaluation, Request
from edgevid.benchmarks.evaluation.records import Record, prediction_file
from edgevid.benchmarks.evaluation.report import text
from edgevid.benchmarks.evaluation.run import evaluate
from edgevid.errors import BenchmarkError
from edgevid.targets import TARGETS
from edgevid.video.datasets import Dataset, LabelledVideo

BUNDLE = Path("some.bundle")


class Session(FakeSession):
    backend, target = "reference", TARGETS["cpu"]

    def __init__(self, sha256: str = "abc", **options) -> None:
        super().__init__(**options)
        self.bundle = SimpleNamespace(sha256=sha256)
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """By level: two dark ones, two bright ones, and one that is dark for 7 of its 10 frames."""
    folder = tmp_path_factory.mktemp("videos")
    levels = {"dark1": [20] * 10, "dark2": [60] * 10, "bright1": [200] * 10, "bright2": [235] * 10}
    for name, values in {**levels, "dawn": [20] * 7 + [235] * 3}.items():
        with av.open(str(folder / f"{name}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
            for number, level in enumerate(values):
                frame = av.VideoFrame.from_ndarray(np.full((40, 48, 3), level, np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 10)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    (folder / "broken.mp4").write_bytes(b"nothing")
    return folder


def dataset(folder, classes=LABELS, **labels) -> Dataset:
    labels = labels or {"dark1": 0, "dark2": 0, "bright1": 1, "bright2": 1, "dawn": 1}
    listed = [LabelledVideo(folder / f"{name}.mp4", label, name) for name, label in labels.items()]
    return Dataset("tones", folder, "test", tuple(classes), tuple(listed))


def run(data, session=None, request=None, **options):
    return evaluate(BUNDLE, data, request or Request(readers=2), session=session or Session(), **options)


def test_the_figures_are_of_the_videos(videos):
    outcome = run(dataset(videos))
    result = outcome.result
    assert [record.video for record in outcome.records] == ["dark1", "dark2", "bright1", "bright2", "dawn"]
    assert result["confusion"] == [[2, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert result["top1"] == 0.8 and result["top5"] == 1.0 and result["videos"] == 5
    assert result["mean_class_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["top1_interval"] == pytest.approx([0.3755, 0.9638], abs=1e-4)
    assert 0 < result["expected_calibration_error"] < 1
    assert (result["bundle"], result["dataset"], result["protocol"]) == ("some.bundle", "tones", "bundle")
    json.dumps(result, allow_nan=False)
    assert "most confused: bright as dark (1)" in text(result)


def test_a_video_that_cannot_be_read_is_named_and_in_no_denominator(videos):
    result = run(dataset(videos, dark1=0, broken=0, missing=1)).result
    assert result["videos"] == 1 and result["top1"] == 1.0
    assert [Path(each["file"]).name for each in result["skipped"]] == ["broken.mp4", "missing.mp4"]
    assert "no video at" in result["skipped"][1]["why"]
    assert "2 skipped" in text(result)


def test_no_readable_video_is_an_error(videos):
    with pytest.raises(
        BenchmarkError, match="none of the 2 videos of 'tones' could be read, the first because"
    ):
        run(dataset(videos, broken=0, missing=1))


def test_views_are_averaged_as_logits_or_as_probabilities(videos):
    """Of the two clips of 'dawn' one begins before the light and one in it."""

    class Opposed(Session):
        views = 0

        def run(self, clip):
            self.views += 1
            return {"logits": np.array([[9, 0, 0] if self.views % 2 else [0, 3, 0]], np.float32)}

    data = dataset(videos, dawn=1)
    logits = run(data, Opposed(), Request("uniform-2x1", readers=1)).records[0]
    assert logits.predicted == 0
    assert logits.scores[0] == pytest.approx(np.exp(4.5) / (np.exp(4.5) + np.exp(1.5) + 1))
    probabilities = run(data, Opposed(), Request("mmaction2-tsm-sthv2", readers=1)).records[0]
    sure, less = np.exp(9) / (np.exp(9) + 2), 1 / (np.exp(3) + 2)
    assert probabilities.scores[0] == pytest.approx((sure + less) / 2)


def test_an_image_network_sees_each_frame(videos):
    session = Session(shape=IMAGE)
    assert run(dataset(videos, dark1=0), session).result["top1"] == 1.0
    assert [clip.shape for clip in session.shown] == [(1, 3, 28, 28)] * 4


def test_a_killed_run_continues_with_the_videos_that_it_lacks(videos, tmp_path):
    journal, data, broken = tmp_path / "journal.jsonl", dataset(videos), Session()
    whole = run(data)

    def die(done, top1):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(data, broken, journal_path=journal, progress=die)
    journal.write_bytes(journal.read_bytes() + b'{"key": "half a li')
    again = Session()
    resumed = run(data, again, journal_path=journal, resume=True)
    assert len(again.shown) == 2 and resumed.result["resumed"] == 3
    assert resumed.records == whole.records
    figures = [{**each.result, "seconds": 0, "resumed": 0} for each in (resumed, whole)]
    assert figures[0] == figures[1], "bit for bit"


def test_a_journal_of_another_bundle_protocol_or_label_is_not_continued(videos, tmp_path):
    journal = tmp_path / "journal.jsonl"
    run(dataset(videos, dark1=0), journal_path=journal)
    unneeded = Session()
    run(dataset(videos, dark1=0), unneeded, journal_path=journal, resume=True)
    assert not unneeded.shown
    for data, session, request in (
        (dataset(videos, dark1=0), Session("def"), Request(readers=1)),
        (dataset(videos, dark1=0), Session(), Request("uniform-2x1", readers=1)),
        (dataset(videos, dark1=1), Session(), Request(readers=1)),
    ):
        run(data, session, request, journal_path=journal, resume=True)
        assert session.shown


def test_classes_in_another_order_are_matched_by_name(videos):
    session = Session(labels=["dark", "bright", "never seen"])
    data = dataset(videos, ["Bright", "never_seen", "dark"], dark1=2, bright1=0)
    result = run(data, session).result
    assert result["top1"] == 1.0 and result["confusion"] == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert "matched by name" in result["remarks"][0]


def test_other_names_are_matched_by_index_with_a_remark(videos):
    result = run(dataset(videos, ["night", "day", "never"], dark1=0, bright1=1)).result
    assert result["top1"] == 1.0
    assert "class 0 is 'dark' for the network and 'night' in the data set" in result["remarks"][0]


def test_another_number_of_classes_is_refused(videos):
    with pytest.raises(BenchmarkError, match="the network has 3 classes and the data set 2"):
        run(dataset(videos, ["dark", "bright"]))


@pytest.mark.parametrize("labels, remedy", [(None, "use --labels sorted"), (LABELS, "export it again")])
def test_the_wrong_order_of_labels_is_noticed(videos, labels, remedy):
    """The network was trained with the sorted names, and the file has them in another order."""
    files, sort = ["bright", "never", "dark"], ["dark", "bright", "never"]
    data = replace(
        dataset(videos, files, dark1=2, dark2=2, bright1=0, bright2=0),
        order="file",
        other_classes=tuple(sort),
    )
    session = Session(labels=labels and files)
    result = run(data, session).result
    assert result["top1"] == 0.0
    assert any("would be 100.0% with the classes in the order 'sorted'" in each for each in result["remarks"])
    assert remedy in result["remarks"][-1]
    right = run(data.other_order, Session(labels=None)).result
    assert right["top1"] == 1.0 and right["remarks"] == []


def test_early_recognition_of_a_clip_bundle_gives_the_accuracy_by_frames_seen(videos):
    result = run(dataset(videos, dawn=1, bright1=1), request=Request(early=True, readers=1)).result
    assert [point["fraction"] for point in result["early"]] == [tenth / 10 for tenth in range(1, 11)]
    assert [point["top1"] for point in result["early"]] == [0.5] * 10
    assert result["top1"] == 0.5


def test_a_streaming_bundle_is_tested_on_sampled_frames_and_on_every_frame(videos):
    session = Session(streaming=True)
    result = run(
        dataset(videos, dawn=1, dark1=0), session, Request(online=True, early=True, readers=2)
    ).result
    assert result["top1"] == result["online"]["top1"] == 0.5
    assert len(result["early"]) == 10 and result["early"][0]["top1"] == 0.5
    assert len(session.shown) == 2 * (4 + 10)


def test_every_frame_needs_a_streaming_bundle(videos):
    with pytest.raises(BenchmarkError, match="--online needs a streaming bundle"):
        run(dataset(videos), request=Request(online=True))


def test_a_bundle_for_another_device_is_refused():
    session = Session()
    session.target = TARGETS["raspberry-pi-5"]
    session.manifest = replace(session.manifest, target="raspberry-pi-5")
    with pytest.raises(
        BenchmarkError, match=r"is for raspberry-pi-5 \(reference\), not for this machine: evaluate"
    ):
        Evaluation(BUNDLE, LABELS, Request(), session)


def test_what_the_network_raises_ends_the_run(videos):
    class Broken(Session):
        def run(self, clip):
            raise BenchmarkError("out of memory")

    with pytest.raises(BenchmarkError, match="out of memory"):
        run(dataset(videos), Broken())


def test_predictions_are_csv_or_json_lines():
    records = [Record("a, b.mp4", 1, 0, (0, 1), (0.75, 0.25))]
    csv = prediction_file(Path("p.csv"), records, ["x", 'y"z'])
    assert csv.splitlines() == [
        "video,label,label_name,predicted,predicted_name,class_1,score_1,class_2,score_2",
        '"a, b.mp4",1,"y""z",0,x,0,0.75,1,0.25',
    ]
    (line,) = prediction_file(Path("p.jsonl"), records, ["x", "y"]).splitlines()
    assert json.loads(line) == {
        "video": "a, b.mp4", "label": 1, "predicted": 0, "best": [0, 1], "scores": [0.75, 0.25],
        "label_name": "y", "predicted_name": "x",
    }  # fmt: skip
