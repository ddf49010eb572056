"""``examples/driver_monitoring``: logits become events, events are scored, and all commands run in turn."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from edgevid import session
from edgevid.errors import EdgevidError
from edgevid.video import camera
from edgevid.video.datasets import open_dataset
from edgevid.video.datasets.digits.clips import Options
from edgevid.video.datasets.digits.write import write_digits

EXAMPLE = Path(__file__).parent.parent / "examples" / "driver_monitoring"
MODULES = ("events", "command", "cut", "monitor", "score", "check_budget")
CLASSES = ("idle", "drinks", "phones")
SURE = 5.0


@pytest.fixture
def example(monkeypatch):
    """The example's modules, as its scripts import each other."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(EXAMPLE)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


def logits(*names_and_frames: tuple[str, int]) -> np.ndarray:
    names = [name for name, frames in names_and_frames for _ in range(frames)]
    return SURE * np.eye(len(CLASSES))[[CLASSES.index(name) for name in names]]


def found(example, *names_and_frames: tuple[str, int], **settings):
    chosen = example.events.Settings(**{"for_frames": 3, **settings})
    events = example.score.events_of(logits(*names_and_frames), CLASSES, chosen)
    return [(event.activity, event.raised, event.last) for event in events]


def test_an_activity_is_raised_when_its_average_was_sure_for_some_frames(example):
    assert found(example, ("idle", 5), ("drinks", 10), ("idle", 10), newest=1.0) == [("drinks", 7, 15)]
    ((_, smoothed, _),) = found(example, ("idle", 5), ("drinks", 10), ("idle", 10), newest=0.3)
    assert smoothed > 7


def test_a_flicker_raises_nothing_and_a_gap_ends_nothing(example):
    assert found(example, ("idle", 5), ("drinks", 2), ("idle", 5)) == []
    assert len(found(example, ("drinks", 20), ("idle", 2), ("drinks", 20))) == 1
    assert len(found(example, ("drinks", 20), ("idle", 2), ("drinks", 20), newest=1.0)) == 2


def test_one_activity_may_follow_another_without_a_pause(example):
    activities = found(example, ("drinks", 20), ("phones", 20))
    assert [name for name, _, _ in activities] == ["drinks", "phones"]
    assert activities[0][2] < activities[1][1] and activities[1][2] == 39  # the end of the video ends it


@pytest.mark.parametrize("wrong", [{"newest": 0.0}, {"start_at": 0.2}, {"for_frames": 0}])
def test_settings_without_sense_are_refused(example, wrong):
    with pytest.raises(ValueError, match="end_at below start_at"):
        example.events.Settings(**wrong)


def test_each_activity_makes_one_event_right_and_the_delay_counts_from_its_first_frame(example):
    truth = ["idle"] * 5 + ["drinks"] * 10 + ["idle"] * 30 + ["phones"] * 10
    seen = logits(("idle", 5), ("drinks", 10), ("idle", 10), ("drinks", 10), ("idle", 20))
    settings = example.events.Settings(newest=1.0, for_frames=3)
    result = example.score.summary([(seen, truth)], CLASSES, settings)
    assert (result["activities"], result["events"], result["right"]) == (2, 2, 1)
    assert (result["precision"], result["recall"]) == (0.5, 0.5)
    assert result["delay_frames"]["median"] == 2
    assert result["share_of_the_activity_seen"]["median"] == pytest.approx(0.3)
    assert result["frame_accuracy"] == pytest.approx(1 - 20 / 55)


def test_a_clip_is_of_one_class_and_idle_ones_are_fewer(example):
    names = ["idle"] * 40 + ["drinks"] * 20 + ["idle"] * 4
    assert list(example.cut.windows(names, "idle")) == [
        (0, "idle"),
        (16, "idle"),
        (40, "drinks"),
    ]


def measured(p99: float, missed_share: float, energy: float | None) -> dict:
    shown = {"fps": 30, "deadline_ms": 33.3, "missed_share": missed_share}
    latency = {"p50": 1.0, "p99": p99}
    return {
        "scenario": "camera",
        "latency_ms": latency,
        "camera": shown,
        "energy_mj_per_frame": energy,
        "why_no_power": "no sensor",
    }


@pytest.mark.parametrize(
    "result,over",
    [
        (measured(20, 0, 4), []),
        (measured(40, 0.02, 6), ["p99 is above 33", "more than 1.00%", "energy is above 5 mJ"]),
        (measured(20, 0, None), ["energy is not measured"]),
    ],
)
def test_what_is_over_the_budget_is_named(example, result, over):
    lines, reasons = example.check_budget.over_budget(result, 33, 0.01, 5)
    assert [reason.startswith(start) for reason, start in zip(reasons, over, strict=True)] == [True] * len(
        over
    )
    assert "no sensor" in lines[2] or "mJ per frame" in lines[2]


def test_its_script_names_what_there_is(example):
    from edgevid.cli import train

    options = {name for option in train.command.params for name in option.opts}
    script = (EXAMPLE / "train.sh").read_text().replace("\\\n", " ")
    (line,) = (line for line in script.splitlines() if line.startswith("edgevid train"))
    assert {word for word in shlex.split(line) if word.startswith("-")} <= options


def test_from_streams_to_events_in_a_file_and_before_a_camera(example, tmp_path, monkeypatch, stream_bundle):
    monkeypatch.chdir(tmp_path)
    labels = ["idle", "grows", "moves_left", "moves_right", "shrinks"]
    monkeypatch.setattr(session, "_labels", lambda bundle: labels)

    def run(module: str, *words: object) -> None:
        monkeypatch.setattr(sys, "argv", [module, *map(str, words)])
        getattr(example, module).main()

    write_digits(Path("streams"), Options(seed=0, videos=(2, 1), size=32, frames=96), streaming=True)
    run("cut", "streams", "clips")
    train, test = (open_dataset("clips", split) for split in ("train", "test"))
    assert train.classes == test.classes and "idle" in train.classes
    assert {video.path.name[:4] for video in train.videos} == {"0000"}
    assert {video.path.name[:4] for video in test.videos} == {"0001"}

    run("score", stream_bundle.path, "streams", "--json", "score.json")
    score = json.loads(Path("score.json").read_text())
    assert (score["streams"], score["frames"]) == (1, 48) and score["activities"] > 0

    video = Path("streams/test/0000.mp4")
    easily = ("--start-at", "0.02", "--end-at", "0.01", "--idle", "idle", "--for-frames", "1")
    run(
        "monitor",
        stream_bundle.path,
        "--video",
        video,
        "--overlay",
        "seen.mp4",
        "--log",
        "file.jsonl",
        *easily,
    )
    with av.open("seen.mp4") as seen:
        assert (seen.streams.video[0].width, sum(1 for _ in seen.decode(video=0))) == (480, 48)

    monkeypatch.setattr(camera, "device", lambda number: (str(video), None))
    run("monitor", stream_bundle.path, "--camera", "0", "--log", "camera.jsonl", *easily)
    for log in ("file.jsonl", "camera.jsonl"):
        whats = [json.loads(line)["what"] for line in Path(log).read_text().splitlines()]
        assert whats == ["start", "end"] * (len(whats) // 2)


@pytest.mark.parametrize("labels", [None, ["drinks", "phones"]])
def test_a_bundle_that_does_not_know_idle_is_refused(example, labels):
    bundle = SimpleNamespace(labels=labels, path="b")
    with pytest.raises(EdgevidError, match=r"'b' has no class 'idle': export a checkpoint of train\.sh"):
        example.command.classes_of(bundle, example.events.Settings())
