"""HMDB-51: three divisions, a list for each class and division; a video is of training, of test or unused."""

from __future__ import annotations

from pathlib import Path

from edgevid.video.datasets.annotation import frames_or_file, read_lines, video_folder
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout

FOLDERS = ("", "testTrainMulti_7030_splits", "annotations")
MARKS = {"train": "1", "test": "2"}


def _lists(root: Path, fold: int) -> list[Path]:
    found = (sorted((root / folder).glob(f"*_test_split{fold}.txt")) for folder in FOLDERS)
    return next(filter(None, found), [])


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    lists = {path.name.rpartition("_test_split")[0]: path for path in _lists(root, choices.fold)}
    if not lists:
        raise DatasetError(f"no files CLASS_test_split{choices.fold}.txt in '{root}': its folds are 1 to 3")
    classes = sorted(lists)
    folder = video_folder(root, ("rawframes",) if choices.pattern else ("hmdb51_org", "videos"), choices)
    videos = []
    for label, name in enumerate(classes):
        for line in read_lines(lists[name]):
            video, _, mark = line.rpartition(" ")
            if mark == MARKS[split]:
                path = folder / name / video.strip()
                videos.append(
                    LabelledVideo(
                        frames_or_file(path, choices), label, f"{name}/{path.name}", choices.pattern
                    )
                )
    return Dataset(f"hmdb51-{choices.fold}", root, split, tuple(classes), tuple(videos))


LAYOUT = Layout(
    name="hmdb51",
    title="HMDB-51: three folds of training and test",
    files="CLASS_test_split1.txt",
    recognizes=lambda root: bool(_lists(root, 1)),
    read=_read,
    split="test",
    splits=tuple(MARKS),
)
