"""UCF-101 and HMDB-51, each with three folds."""

from __future__ import annotations

import pytest

from edgevid.errors import UnknownNameError
from edgevid.video.datasets import Choices, DatasetError, open_dataset
from edgevid.video.source import FrameFolder

UCF = {
    "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\n2 Archery\n",
    "ucfTrainTestlist/trainlist01.txt": "Archery/v_Archery_g08_c01.avi 2\n",
    "ucfTrainTestlist/testlist01.txt": (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nArchery/v_Archery_g01_c01.avi\r\n"
    ),
    "ucfTrainTestlist/testlist02.txt": "Archery/v_Archery_g02_c01.avi\n",
}
HMDB = {
    "wave_test_split1.txt": "a_b.avi 1 \nc.avi 2 \nd.avi 0 \n",
    "climb_stairs_test_split1.txt": "e.avi 2 \n",
    "wave_test_split3.txt": "c.avi 1\nd.avi 2\n",
}


def labelled(dataset):
    return [(video.name, video.label) for video in dataset.videos]


def test_ucf101_counts_its_classes_from_one(plant):
    root = plant("UCF-101/Archery/v_Archery_g01_c01.avi", **UCF)
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.split, dataset.classes) == (
        "ucf101",
        "test",
        ("ApplyEyeMakeup", "Archery"),
    )
    assert labelled(dataset) == [
        ("ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", 0),
        ("Archery/v_Archery_g01_c01.avi", 1),
    ]
    assert [video.exists for video in dataset.videos] == [False, True]
    assert labelled(open_dataset(root, "train")) == [("Archery/v_Archery_g08_c01.avi", 1)]


def test_ucf101_has_folds_and_may_lie_as_frames(plant):
    root = plant("rawframes/Archery/v_Archery_g02_c01/img_00001.jpg", **UCF)
    dataset = open_dataset(root, choices=Choices(fold=2, pattern="img_{:05d}.jpg"))
    folder = root / "rawframes" / "Archery" / "v_Archery_g02_c01"
    assert dataset.videos[0].source == FrameFolder(folder, "img_{:05d}.jpg")
    assert dataset.videos[0].exists
    with pytest.raises(DatasetError, match=r"it needs a file testlist04.txt"):
        open_dataset(root, choices=Choices(fold=4))
    with pytest.raises(UnknownNameError, match="ucf101 has train, test"):
        open_dataset(root, "validation")


def test_hmdb51_marks_training_and_test_in_one_list_for_each_class(plant):
    root = plant("hmdb51_org/wave/c.avi", **HMDB)
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.classes) == ("hmdb51", ("climb_stairs", "wave"))
    assert labelled(dataset) == [("climb_stairs/e.avi", 0), ("wave/c.avi", 1)]
    assert dataset.videos[1].source == root / "hmdb51_org" / "wave" / "c.avi"
    assert labelled(open_dataset(root, "train")) == [("wave/a_b.avi", 1)]
    with pytest.raises(DatasetError, match="its folds are 1 to 3"):
        open_dataset(root, choices=Choices(fold=5))
