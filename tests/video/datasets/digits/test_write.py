"""The digits as files."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edgevid.video.datasets import DatasetError, open_dataset
from edgevid.video.datasets.digits import handwriting
from edgevid.video.datasets.digits.activities import CLASSES
from edgevid.video.datasets.digits.clips import Options, render_clips
from edgevid.video.datasets.digits.write import write_digits
from edgevid.video.datasets.streams import open_streams
from edgevid.video.decode import probe, read_frames

pytest.importorskip("sklearn", reason="the digits are scikit-learn's: pip install 'edgevid[datasets]'")

SMALL = Options(seed=3, videos=(1, 1), size=32, frames=6)
STREAMS = Options(seed=3, videos=(1, 1), size=32, frames=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits") / "clips"
    write_digits(folder, SMALL, streaming=False)
    return folder


def images(path):
    return np.stack([frame.image for frame in read_frames(path, threads=1)])


def test_the_clips_are_class_folders_of_real_h264(folder):
    for split in ("train", "test"):
        dataset = open_dataset(folder, split)
        assert (dataset.layout, dataset.classes, len(dataset.videos)) == ("folders", CLASSES, 10)
    info = probe(dataset.videos[0].path)
    assert (info.codec, info.width, info.frames, info.frame_rate) == ("h264", 32, 6, 12)


def test_a_decoded_video_is_its_partner_backwards_to_the_bit(folder):
    """Each frame is coded alone, so no trace of coding tells the direction."""
    forward, backward = (images(folder / "test" / name / "0000.mp4") for name in ("grows", "shrinks"))
    assert (forward == backward[::-1]).all()
    rendered = next(video.images for video in render_clips(SMALL) if "grows" in video.path.parts)
    assert abs(images(folder / "train" / "grows" / "0000.mp4").astype(int) - rendered).mean() < 6


def test_the_same_seed_gives_the_same_frames(folder, tmp_path):
    again = write_digits(tmp_path / "again", SMALL, streaming=False)
    assert again == json.loads((folder / "dataset.json").read_text())
    path = "train/turns_clockwise/0000.mp4"
    assert (images(folder / path) == images(tmp_path / "again" / path)).all()
    assert again["command"] == "edgevid dataset digits --seed 3 --videos 1 1 --size 32 --frames 6"
    assert again["count"] == len(list(folder.rglob("*.mp4")))


def test_what_is_there_stays_and_something_else_is_not_overwritten(folder, tmp_path):
    def never(videos, count):
        raise AssertionError("nothing is to be rendered")

    assert write_digits(folder, SMALL, False, never)["seed"] == 3
    with pytest.raises(DatasetError, match="has something else: choose another folder"):
        write_digits(folder, STREAMS, True, never)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(DatasetError, match="has something else"):
        write_digits(tmp_path, SMALL, False, never)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_streams_have_the_class_of_each_frame(tmp_path):
    counts = []
    write_digits(tmp_path / "s", STREAMS, True, lambda videos, count: counts.append(count) or videos)
    train, test = (open_streams(tmp_path / "s", split) for split in ("train", "test"))
    assert counts == [2]
    assert train.classes == ("idle", *CLASSES)
    for stream in (*train.streams, *test.streams):
        assert len(stream.labels) == len(images(stream.path)) == 100
        assert stream.labels[0] == 0, "it begins idle"
        assert len(set(stream.labels)) > 2
    frames, labels = images(train.streams[0].path).astype(int), np.array(train.streams[0].labels)
    moves = abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    active = (labels[1:] > 0) & (labels[:-1] > 0)
    still = (labels[1:] == 0) & (labels[:-1] == 0)
    assert np.median(moves[still]) == 0 < np.median(moves[active])
    assert (moves[active] > 0).mean() > 0.9


def test_without_scikit_learn_it_says_what_to_install(monkeypatch, tmp_path):
    handwriting._digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DatasetError, match=r"pip install 'edgevid\[datasets\]'"):
        write_digits(tmp_path / "none", SMALL, streaming=False)
    assert not (tmp_path / "none").exists()
