"""Kinetics' CSV files."""

from __future__ import annotations

import pytest

from edgevid.video.datasets import DatasetError, open_dataset

HEADER = "label,youtube_id,time_start,time_end,split\n"
TRAIN = (
    HEADER
    + 'zumba,aaaaaaaaaaa,1,11,train\n"""abseiling""",bbbbbbbbbbb,2,12,train\nplaying chess,-c,3,13,train\n'
)
VALIDATION = HEADER + "playing chess,_ddd,62.0,72.0,val\nzumba,eee,0,10,val\n"


def test_classes_are_numbered_as_those_of_training_are_sorted(plant):
    root = plant(**{"annotations/kinetics_train.csv": TRAIN, "annotations/kinetics_val.csv": VALIDATION})
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.split) == ("kinetics", "validation")
    assert dataset.classes == ("abseiling", "playing chess", "zumba")
    assert [(video.name, video.label) for video in dataset.videos] == [
        ("_ddd_000062_000072", 1),
        ("eee_000000_000010", 2),
    ]
    assert not any(video.exists for video in dataset.videos)


def test_videos_lie_flat_or_in_a_folder_for_each_class(plant):
    name = "_ddd_000062_000072.mp4"
    root = plant(f"val/{name}", **{"val.csv": VALIDATION, "train.csv": TRAIN})
    assert open_dataset(root).videos[0].path == root / "val" / name
    (root / "val" / "playing_chess").mkdir()
    assert open_dataset(root).videos[0].path == root / "val" / "playing_chess" / name


def test_what_the_csv_lacks_is_named(plant):
    root = plant(
        **{"val.csv": VALIDATION, "test.csv": "youtube_id,time_start,time_end,split\nabc,1,2,test\n"}
    )
    with pytest.raises(DatasetError, match=r"row 1 of '.*test.csv' has no label"):
        open_dataset(root, "test")
    with pytest.raises(DatasetError, match=r"no list of the train split .* it needs a file train.csv"):
        open_dataset(root, "train")
    plant(**{"val.csv": HEADER + "zumba,eee,now,10,val\n"})
    with pytest.raises(DatasetError, match="the times 'now' and '10': they must be seconds"):
        open_dataset(root)


def test_a_class_that_training_lacks_is_an_error(plant):
    root = plant(**{"train.csv": TRAIN, "val.csv": HEADER + "yoga,eee,0,10,val\n"})
    with pytest.raises(DatasetError, match="the class 'yoga', which is not among the classes"):
        open_dataset(root)
