"""Labelled videos: data sets in the layouts in which they are published."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from edgevid.specs.registry import check_choice
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout
from edgevid.video.datasets.layouts import LAYOUTS

__all__ = ["LAYOUTS", "Choices", "Dataset", "DatasetError", "LabelledVideo", "open_dataset"]


def open_dataset(
    folder: str | os.PathLike[str],
    split: str | None = None,
    layout: str | None = None,
    choices: Choices | None = None,
) -> Dataset:
    """Read the annotation of a data set; no video is opened, and none needs to be there.

    ``folder`` may also be a file that lists videos. ``split``: "train", "validation" or "test"; by default
    the one whose accuracy is published. ``layout``: one of ``LAYOUTS``; by default the first that recognizes
    the folder by its files.

    Raises ``UnknownNameError`` for another layout, and ``DatasetError`` if the folder is of no known layout,
    has no such split, or its annotation cannot be read.
    """
    root = Path(folder)
    if not root.is_dir() and not (root.is_file() and layout in (None, "lists")):
        raise DatasetError(f"no data set at '{root}': name its folder, or a list of videos")
    found = _layout_of(root, layout)
    split = split or found.split
    check_choice("split", split, found.splits, f"{found.name} has {', '.join(found.splits)}")
    dataset = found.read(root, split, choices or Choices())
    if not dataset.videos:
        raise DatasetError(f"the {split} split of '{root}' lists no video: check its annotation")
    return replace(dataset, layout=found.name, videos=_with_unique_names(dataset.videos))


def _layout_of(root: Path, name: str | None) -> Layout:
    if name is not None:
        check_choice("layout", name, LAYOUTS)
        return LAYOUTS[name]
    for layout in LAYOUTS.values():
        if layout.recognizes(root):
            return layout
    wanted = "; ".join(f"{layout.name}: {layout.files}" for layout in LAYOUTS.values())
    raise DatasetError(f"'{root}' is of no known layout: it needs the files of one of {wanted}")


def _with_unique_names(videos: tuple[LabelledVideo, ...]) -> tuple[LabelledVideo, ...]:
    """A video that is listed again is numbered."""
    times: Counter[str] = Counter()
    result = []
    for video in videos:
        times[video.name] += 1
        again = times[video.name]
        result.append(video if again == 1 else replace(video, name=f"{video.name}#{again}"))
    return tuple(result)
