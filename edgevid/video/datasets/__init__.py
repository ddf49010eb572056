"""Labelled videos: data sets in the layouts in which they are published."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from edgevid.specs.registry import check_choice
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices
from edgevid.video.datasets.layouts import LAYOUTS

__all__ = ["LAYOUTS", "Choices", "Dataset", "DatasetError", "LabelledVideo", "open_dataset"]


def open_dataset(
    folder: str | os.PathLike[str],
    split: str | None = None,
    layout: str | None = None,
    choices: Choices | None = None,
) -> Dataset:
    """Read the annotation of a data set; no video is opened, and none needs to be there.

    ``split``: "train", "validation" or "test"; by default the one whose accuracy is published. ``layout``:
    one of ``LAYOUTS``; by default the first that recognizes the folder by its files.

    Raises ``UnknownNameError`` for another layout, and ``DatasetError`` if the folder is of no known layout,
    has no such split, or its annotation cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatasetError(f"no folder at '{root}': name the folder of a data set")
    if layout is not None:
        check_choice("layout", layout, LAYOUTS)
        found = LAYOUTS[layout]
    else:
        found = next((entry for entry in LAYOUTS.values() if entry.recognizes(root)), None)
        if found is None:
            wanted = "; ".join(f"{entry.name}: {entry.files}" for entry in LAYOUTS.values())
            raise DatasetError(f"'{root}' is of no known layout: it needs the files of one of {wanted}")
    split = split or found.split
    check_choice("split", split, found.splits, f"{found.name} has {', '.join(found.splits)}")
    dataset = found.read(root, split, choices or Choices())
    if not dataset.videos:
        raise DatasetError(f"the {split} split of '{root}' lists no video: check its annotation")
    return replace(dataset, layout=found.name)
