"""Something-Something V1, V2 and Jester, and the two orders of their classes."""

from __future__ import annotations

import json

import pytest

from edgevid.errors import UnknownNameError
from edgevid.video.datasets import Choices, DatasetError, open_dataset
from edgevid.video.source import FrameFolder

V1 = "something-something-v1"
CLASSES = "Taking something\nBending something\n"
V2 = {
    "labels/something-something-v2-labels.json": json.dumps(
        {"Taking something": "1", "Bending something": "0"}
    ),
    "labels/something-something-v2-validation.json": json.dumps(
        [
            {
                "id": "74225",
                "label": "taking a cup",
                "template": "Taking [something]",
                "placeholders": ["a cup"],
            }
        ]
    ),
    "labels/something-something-v2-test.json": json.dumps([{"id": "5"}]),
}


@pytest.fixture
def v1(plant):
    texts = {
        "labels.csv": CLASSES,
        "validation.csv": "7;Taking something\n8;Bending something\n",
        "test.csv": "9\n",
    }
    return plant(
        "20bn-something-something-v1/7/00001.jpg", **{f"{V1}-{name}": text for name, text in texts.items()}
    )


def test_v1_is_folders_of_frames_in_the_sorted_order_of_tsm(v1):
    dataset = open_dataset(v1)
    assert (dataset.layout, dataset.order) == ("something-v1", "sorted")
    assert dataset.classes == ("Bending something", "Taking something")
    first, second = dataset.videos
    assert first.source == FrameFolder(v1 / "20bn-something-something-v1" / "7", "{:05d}.jpg")
    assert (first.exists, second.exists, first.label, second.label) == (True, False, 1, 0)


def test_mmaction2_keeps_the_order_of_the_file(v1):
    dataset = open_dataset(v1, choices=Choices(labels="file"))
    assert dataset.classes == ("Taking something", "Bending something")
    assert [video.label for video in dataset.videos] == [0, 1]
    assert dataset.other_order == open_dataset(v1)
    assert open_dataset(v1).other_order == dataset
    with pytest.raises(UnknownNameError, match="order of labels 'alphabet': choose one of sorted, file"):
        open_dataset(v1, choices=Choices(labels="alphabet"))


def test_a_test_split_without_classes_is_an_error(v1, plant):
    with pytest.raises(DatasetError, match=r"has no classes .'9'.: use the validation split"):
        open_dataset(v1, "test")
    plant(**{f"{V1}-validation.csv": "7;Taking nothing\n"})
    with pytest.raises(DatasetError, match="the class 'Taking nothing'"):
        open_dataset(v1)


def test_jester_differs_in_names_alone(plant):
    names = {
        "jester-v1-labels.csv": "Swiping Left\nNo gesture\n",
        "jester-v1-validation.csv": "34870;No gesture\n",
    }
    dataset = open_dataset(plant(**names))
    assert (dataset.layout, dataset.videos[0].label) == ("jester", 0)
    assert dataset.other_order.videos[0].label == 1


def test_v2_numbers_its_classes_in_json(plant):
    root = plant("20bn-something-something-v2/74225.webm", **V2)
    dataset = open_dataset(root)
    assert (dataset.layout, dataset.order) == ("something-v2", "file")
    assert dataset.classes == ("Bending something", "Taking something")
    assert dataset.videos[0].source == root / "20bn-something-something-v2" / "74225.webm"
    assert (dataset.videos[0].label, dataset.videos[0].exists) == (1, True)
    assert dataset.other_order is None, "both orders are the same"
    with pytest.raises(DatasetError, match=r"test split of .* has no classes"):
        open_dataset(root, "test")


def test_v2_may_lie_as_frames(plant):
    root = plant("20bn-something-something-v2-frames/74225/000001.jpg", **V2)
    video = open_dataset(root).videos[0]
    assert video.source == FrameFolder(root / "20bn-something-something-v2-frames" / "74225", "{:06d}.jpg")
    video = open_dataset(root, choices=Choices(videos=root / "labels", pattern="{:d}.png")).videos[0]
    assert video.source == FrameFolder(root / "labels" / "74225", "{:d}.png")


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("labels", '{"a": "1"}', "does not number the classes from 0"),
        ("labels", "[", "is not JSON"),
        ("validation", '{"id": 3}', "not a list of videos with id and template"),
    ],
)
def test_damaged_json_is_named(plant, kind, text, wanted):
    root = plant(**{**V2, f"labels/something-something-v2-{kind}.json": text})
    with pytest.raises(DatasetError, match=wanted):
        open_dataset(root)
