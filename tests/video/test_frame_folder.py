"""Frames picked of a folder of pictures."""

from __future__ import annotations

import pytest
from PIL import Image

from edgevid.errors import VideoError
from edgevid.specs import Preprocessing
from edgevid.video.clips import load_clip
from edgevid.video.pick import pick_frames
from edgevid.video.source import FrameFolder


@pytest.fixture
def folder(tmp_path):
    for index in range(12):
        Image.new("RGB", (64, 48), (8 * index,) * 3).save(tmp_path / f"img_{index + 1:05d}.jpg", quality=95)
    return FrameFolder(tmp_path, "img_{:05d}.jpg")


def test_the_chosen_pictures_come_in_order_with_the_count_of_all(folder, which):
    seen, totals = [], []
    timeline = pick_frames(
        folder,
        lambda total: totals.append(total) or [7, 2, 7],
        lambda index, picture: seen.append((index, which(picture))),
    )
    assert (seen, totals, timeline.frames) == ([(2, 2), (7, 7)], [12], 12)


def test_a_clip_is_loaded_as_from_a_file(folder):
    clip = load_clip(folder, Preprocessing(short_side=32, crop=32), frames=4)
    assert clip.data.shape == (1, 4, 3, 32, 32)
    assert clip.indices.tolist() == [[1, 4, 7, 10]]
    brightness = clip.data.mean(axis=(0, 2, 3, 4))
    assert sorted(brightness) == brightness.tolist()


def test_the_count_of_the_annotation_is_believed_until_a_picture_is_missing(folder):
    short = FrameFolder(folder.path, folder.pattern, frames=5)
    assert pick_frames(short, lambda total: [total - 1], lambda index, picture: None).frames == 5
    long = FrameFolder(folder.path, folder.pattern, frames=20)
    with pytest.raises(VideoError, match=r"no video at '.*img_00020\.jpg'"):
        pick_frames(long, lambda total: [total - 1], lambda index, picture: None)


@pytest.mark.parametrize(
    ("name", "pattern", "wanted"),
    [("none", "{:05d}.jpg", "no frames at .*: extract them"), (".", "{:06d}.jpg", r"has no '000001.jpg'")],
)
def test_a_folder_without_frames_says_what_was_looked_for(folder, name, pattern, wanted):
    with pytest.raises(VideoError, match=wanted):
        pick_frames(FrameFolder(folder.path / name, pattern), lambda total: [0], lambda *_: None)


def test_a_damaged_picture_is_named(folder):
    path = folder.path / "img_00003.jpg"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(VideoError, match=r"img_00003\.jpg"):
        pick_frames(folder, lambda total: [2], lambda *_: None)
