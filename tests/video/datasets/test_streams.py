"""Videos with a class for each frame."""

from __future__ import annotations

import pytest

from edgevid.video.datasets.dataset import DatasetError
from edgevid.video.datasets.streams import open_streams

GOOD = "first_frame,last_frame,class\n0,2,idle\n3,3,wave\n4,5,idle\n"


def test_each_frame_gets_the_class_of_its_range(plant):
    root = plant("test/a.mp4", **{"test/a.csv": GOOD, "classes.txt": "idle\nwave\n"})
    dataset = open_streams(root)
    assert dataset.classes == ("idle", "wave")
    assert [(stream.name, stream.labels) for stream in dataset.streams] == [("a", (0, 0, 0, 1, 0, 0))]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("0,2,idle\n4,5,idle\n", "frames '4' to '5' after 3 frames: each frame needs one class"),
        ("0,2,idle\n2,5,idle\n", "frames '2' to '5' after 3 frames"),
        ("0,x,idle\n", "frames '0' to 'x' after 0 frames"),
        ("0,2,jump\n", "the class 'jump', which is not among the classes"),
    ],
)
def test_frames_without_one_class_are_an_error(plant, rows, wanted):
    text = f"first_frame,last_frame,class\n{rows}"
    root = plant("test/a.mp4", **{"test/a.csv": text, "classes.txt": "idle\n"})
    with pytest.raises(DatasetError, match=wanted):
        open_streams(root)


def test_what_is_missing_is_named(plant):
    root = plant("test/a.mp4")
    with pytest.raises(DatasetError, match=r"it needs a file classes.txt"):
        open_streams(root)
    plant(**{"classes.txt": "idle\n"})
    with pytest.raises(DatasetError, match=r"no '.*a.csv': write the classes of the frames there"):
        open_streams(root)
    with pytest.raises(DatasetError, match=r"no videos in .*train'"):
        open_streams(root, "train")
