"""Label sets are complete and in the order of the networks that were trained on them."""

from __future__ import annotations

import pytest

from edgevid.errors import EdgevidError, UnknownNameError
from edgevid.video.labels import default_label_set, label_sets, read_labels

SIZES = {"jester": 27, "kinetics400": 400, "something-something-v1": 174, "something-something-v2": 174}


def test_every_set_is_listed():
    assert label_sets() == sorted(SIZES)


@pytest.mark.parametrize("name,classes", SIZES.items())
def test_a_set_has_as_many_labels_as_classes_and_none_twice(name, classes):
    labels = read_labels(name)
    assert len(labels) == len(set(labels)) == classes
    assert all(label == label.strip() != "" for label in labels)


@pytest.mark.parametrize("name", sorted(set(SIZES) - {"jester"}))
def test_sets_that_are_sorted_where_they_come_from_are_sorted_here(name):
    assert read_labels(name) == sorted(read_labels(name))


@pytest.mark.parametrize(
    "name,index,label",
    [
        ("kinetics400", 0, "abseiling"),
        ("kinetics400", 5, "archery"),
        ("kinetics400", 399, "zumba"),
        ("something-something-v2", 0, "Approaching something with your camera"),
        ("something-something-v2", 164, "Turning something upside down"),
        ("something-something-v2", 173, "Wiping something off of something"),
        ("jester", 0, "Doing other things"),
        ("jester", 2, "No gesture"),
        ("jester", 26, "Zooming Out With Two Fingers"),
    ],
)
def test_known_classes_have_their_index(name, index, label):
    assert read_labels(name)[index] == label


def test_the_number_of_classes_suggests_a_set():
    assert [default_label_set(n) for n in (400, 174, 27)] == [
        "kinetics400",
        "something-something-v2",
        "jester",
    ]
    assert default_label_set(101) is None


def test_a_text_file_is_a_label_set(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("sitzen\nstehen  \ngehen (schnell)\n\n", encoding="utf-8")
    assert read_labels(path) == ["sitzen", "stehen", "gehen (schnell)"]


def test_a_misspelt_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'kinetics-400': did you mean kinetics400\?"):
        read_labels("kinetics-400")


@pytest.mark.parametrize(
    "content,what",
    [(b"", "has no labels"), (b"a\n\nb\n", "line 2 .* is blank"), (b"\xff\xfe\x00", "is not UTF-8 text")],
)
def test_a_file_that_would_shift_or_lose_labels_is_refused(tmp_path, content, what):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(EdgevidError, match=what):
        read_labels(path)
