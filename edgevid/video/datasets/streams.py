"""Videos with a class for each frame, for networks that watch a stream.

``classes.txt`` lists the classes; a folder for each split has the videos, and beside each a CSV file of its
name with the columns first_frame, last_frame, class. Frames count from 0, and each has one class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevid.video.datasets.annotation import label_of, need_file, numbered, read_lines, read_rows
from edgevid.video.datasets.dataset import DatasetError
from edgevid.video.files import VIDEO_SUFFIX

CLASS_LIST = "classes.txt"
COLUMNS = ("first_frame", "last_frame", "class")


@dataclass(frozen=True)
class LabelledStream:
    """``labels``: the index of the class of each frame. ``name`` is unique within the data set."""

    path: Path
    labels: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class StreamDataset:
    """The streams of one split, by their names."""

    root: Path
    split: str
    classes: tuple[str, ...]
    streams: tuple[LabelledStream, ...]


def open_streams(folder: str | os.PathLike[str], split: str = "test") -> StreamDataset:
    """Read the annotation of videos with a class for each frame; no video is opened.

    Raises ``DatasetError`` if a file is missing, or does not give each frame a class.
    """
    root = Path(folder)
    classes = read_lines(need_file(root, (), [CLASS_LIST], "list of the classes"))
    index = numbered(classes)
    found = sorted((root / split).glob("*"))
    streams = tuple(
        LabelledStream(path, _labels(path.with_suffix(".csv"), index), path.stem)
        for path in found
        if VIDEO_SUFFIX.fullmatch(path.suffix)
    )
    if not streams:
        raise DatasetError(f"no videos in '{root / split}': name a split that has some")
    return StreamDataset(root, split, tuple(classes), streams)


def _labels(path: Path, index: Mapping[str, int]) -> tuple[int, ...]:
    if not path.is_file():
        raise DatasetError(f"no '{path}': write the classes of the frames there, as {', '.join(COLUMNS)}")
    labels: list[int] = []
    for row in read_rows(path, COLUMNS):
        first, last = row["first_frame"], row["last_frame"]
        if first != str(len(labels)) or not last.isdecimal() or int(last) < int(first):
            raise DatasetError(
                f"'{path}' goes on with the frames '{first}' to '{last}' after {len(labels)} frames: "
                "each frame needs one class, in order"
            )
        labels += [label_of(row["class"], index, path)] * (int(last) - int(first) + 1)
    return tuple(labels)
