"""Class folders, on trees of empty files: opening a data set opens no video."""

from __future__ import annotations

import pytest

from edgevid.errors import UnknownNameError
from edgevid.video.datasets import Choices, DatasetError, open_dataset
from edgevid.video.source import FrameFolder


def test_the_folders_are_the_classes_in_sorted_order(plant):
    root = plant("run/b.mp4", "run/a.avi", "jump/a.mp4", "jump/notes.txt", ".cache/x.mp4")
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.split, dataset.classes) == ("folders", "test", ("jump", "run"))
    assert [(video.name, video.label) for video in dataset.videos] == [
        ("jump/a.mp4", 0),
        ("run/a.avi", 1),
        ("run/b.mp4", 1),
    ]
    assert dataset.videos[0].source == root / "jump" / "a.mp4"
    assert dataset.videos[0].exists


def test_a_split_with_folders_of_its_own_keeps_the_classes_of_all(plant):
    root = plant("train/jump/a.mp4", "train/run/b.mp4", "val/run/c.mp4")
    dataset = open_dataset(root, "validation")
    assert dataset.classes == ("jump", "run")
    assert [(video.name, video.label) for video in dataset.videos] == [("run/c.mp4", 1)]
    with pytest.raises(DatasetError, match="no split 'test': it has train, validation"):
        open_dataset(root)


def test_without_folders_for_splits_all_is_test_so_that_none_is_trained_on_by_mistake(plant):
    with pytest.raises(DatasetError, match="no split 'train': it has test"):
        open_dataset(plant("run/a.mp4"), "train")


def test_a_video_may_be_a_folder_of_frames(plant):
    root = plant("run/a/1.jpg", "run/b/1.jpg")
    dataset = open_dataset(root, layout="folders", choices=Choices(pattern="{}.jpg"))
    assert [video.source for video in dataset.videos] == [
        FrameFolder(root / "run" / name, "{}.jpg") for name in "ab"
    ]


def test_what_is_no_data_set_is_refused_in_one_line(plant, tmp_path):
    with pytest.raises(DatasetError, match="no data set at"):
        open_dataset(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"no known layout.*CLASS/VIDEO"):
        open_dataset(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean folders"):
        open_dataset(tmp_path, layout="folder")
    with pytest.raises(UnknownNameError, match="folders has train, validation, test"):
        open_dataset(plant("run/a.mp4"), "dev")
    (tmp_path / "run" / "a.mp4").unlink()
    with pytest.raises(DatasetError, match="lists no video"):
        open_dataset(tmp_path, layout="folders")
