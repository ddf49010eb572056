"""Lists in the manner of TSN."""

from __future__ import annotations

import pytest

from edgevid.video.datasets import Choices, DatasetError, open_dataset
from edgevid.video.source import FrameFolder


def test_names_with_spaces_are_split_from_the_right(plant):
    root = plant("videos/a b.mp4", **{"val.txt": "a b.mp4 1\nc 3.mp4 0\nd.mp4 250 1\n"})
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.split, dataset.classes) == ("lists", "validation", ("0", "1"))
    assert [(video.source, video.label) for video in dataset.videos] == [
        (root / "videos" / "a b.mp4", 1),
        (root / "videos" / "c 3.mp4", 0),
        (root / "videos" / "d.mp4", 1),
    ]
    assert dataset.videos[2].frames == 250


def test_a_number_of_frames_makes_it_a_folder(plant):
    root = plant(
        "rawframes_val/playing chess/x 1/img_00001.jpg",
        **{"val_videofolder.txt": "playing chess/x 1 120 1\n", "category.txt": "abseiling\nplaying chess\n"},
    )
    dataset = open_dataset(root)
    assert dataset.classes == ("abseiling", "playing chess")
    folder = root / "rawframes_val" / "playing chess" / "x 1"
    assert dataset.videos[0].source == FrameFolder(folder, "img_{:05d}.jpg", 120)
    other = open_dataset(root, choices=Choices(pattern="{:06d}.jpg", videos=root))
    assert other.videos[0].source == FrameFolder(root / "playing chess" / "x 1", "{:06d}.jpg", 120)


def test_one_of_several_lists_is_named_itself(plant):
    root = plant(**{"val_split_1.txt": "a.mp4 0\n", "val_split_2.txt": "b.mp4 0\n", "train.txt": "c.mp4 0\n"})
    with pytest.raises(DatasetError, match=r"several lists .* name one of val_split_1.txt, val_split_2.txt"):
        open_dataset(root)
    assert open_dataset(root / "val_split_2.txt").videos[0].path == root / "b.mp4"
    assert open_dataset(root, "train").videos[0].name == "c.mp4"
    with pytest.raises(DatasetError, match="no list of the test split"):
        open_dataset(root, "test")


def test_a_video_that_is_listed_again_gets_a_name_of_its_own(plant):
    root = plant(**{"test.txt": "a.mp4 0\nb.mp4 0\na.mp4 1\n"})
    assert [video.name for video in open_dataset(root, "test").videos] == ["a.mp4", "b.mp4", "a.mp4#2"]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("a.mp4 0\nb.mp4\n", "the line 'b.mp4': it must be"),
        ("a.mp4 -1\n", "the line 'a.mp4 -1': it must be"),
        ("a.mp4 2\n", "the label 2, but '.*category.txt' has 2 classes"),
    ],
)
def test_a_list_that_is_none_is_an_error(plant, lines, wanted):
    root = plant(**{"val.txt": lines, "category.txt": "x\ny\n"})
    with pytest.raises(DatasetError, match=wanted):
        open_dataset(root / "val.txt")
