"""Kinetics: a CSV file for each split; a class's index is its place among the sorted classes of training.

A video is ``ID_START_END.mp4``, with six digits for each second, in one folder or in one for each class.
"""

from __future__ import annotations

from pathlib import Path

from edgevid.video.datasets.annotation import (
    find_file,
    first_line,
    label_of,
    need_file,
    numbered,
    read_rows,
    video_folder,
)
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout

FOLDERS = ("annotations",)
FILES = {
    "train": ("train.csv", "kinetics*train.csv"),
    "validation": ("val.csv", "validate.csv", "validation.csv", "kinetics*val.csv", "kinetics*validate.csv"),
    "test": ("test.csv", "kinetics*test.csv"),
}
COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def _recognizes(root: Path) -> bool:
    paths = (find_file(root, FOLDERS, FILES[split]) for split in FILES)
    return any(path and "youtube_id" in first_line(path) for path in paths)


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    path = need_file(root, FOLDERS, FILES[split], f"list of the {split} split")
    rows = read_rows(path, COLUMNS)
    training = find_file(root, FOLDERS, FILES["train"])
    classes = sorted({_class(row) for row in (read_rows(training, COLUMNS) if training else rows)})
    index = numbered(classes)
    short = path.stem.rpartition("_")[2]
    names = (split, short, f"videos_{split}", f"videos_{short}", "videos")
    folder = video_folder(root, names, choices)
    below = {entry.name for entry in folder.iterdir() if entry.is_dir()}
    videos = []
    for row in rows:
        name, parent = _name(row, path), _class(row)
        in_class = next((each for each in (parent.replace(" ", "_"), parent) if each in below), "")
        videos.append(LabelledVideo(folder / in_class / f"{name}.mp4", label_of(parent, index, path), name))
    return Dataset("kinetics", root, split, tuple(classes), tuple(videos))


def _class(row: dict[str, str]) -> str:
    return row["label"].replace('"', "")


def _name(row: dict[str, str], path: Path) -> str:
    try:
        begin_s, end_s = int(float(row["time_start"])), int(float(row["time_end"]))
    except ValueError:
        raise DatasetError(
            f"'{path}' gives {row['youtube_id']} the times '{row['time_start']}' and '{row['time_end']}': "
            "they must be seconds"
        ) from None
    return f"{row['youtube_id']}_{begin_s:06d}_{end_s:06d}"


LAYOUT = Layout(
    name="kinetics",
    title="Kinetics-400, -600 and -700: CSV files",
    files="train.csv and val.csv with label,youtube_id,time_start,time_end",
    recognizes=_recognizes,
    read=_read,
)
