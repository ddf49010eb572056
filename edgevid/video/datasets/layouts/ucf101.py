"""UCF-101: three divisions into training and test; ``classInd.txt`` numbers the classes from 1."""

from __future__ import annotations

from pathlib import Path

from edgevid.video.datasets.annotation import (
    find_file,
    frames_or_file,
    label_of,
    need_file,
    numbered,
    read_lines,
    video_folder,
)
from edgevid.video.datasets.dataset import Dataset, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout

FOLDERS = ("ucfTrainTestlist", "annotations")


def _recognizes(root: Path) -> bool:
    return all(find_file(root, FOLDERS, [name]) for name in ("classInd.txt", "testlist01.txt"))


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    of_classes = need_file(root, FOLDERS, ["classInd.txt"], "list of the classes")
    path = need_file(root, FOLDERS, [f"{split}list{choices.fold:02d}.txt"], f"{split} list of that fold")
    classes = [line.partition(" ")[2] for line in read_lines(of_classes)]
    index = numbered(classes)
    folder = video_folder(root, ("rawframes", "jpg") if choices.pattern else ("UCF-101", "videos"), choices)
    videos = []
    for line in read_lines(path):
        name = line.partition(" ")[0]  # the class's number follows in the lists of training
        label = label_of(name.partition("/")[0], index, path)
        videos.append(LabelledVideo(frames_or_file(folder / name, choices), label, name, choices.pattern))
    return Dataset(f"ucf101-{choices.fold}", root, split, tuple(classes), tuple(videos))


LAYOUT = Layout(
    name="ucf101",
    title="UCF-101: three folds of training and test",
    files="classInd.txt and testlist01.txt",
    recognizes=_recognizes,
    read=_read,
    split="test",
    splits=("train", "test"),
)
