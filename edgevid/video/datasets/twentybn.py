"""What Something-Something V1 and Jester share: frames in numbered folders, and lists of ``ID;CLASS``.

TSM and what follows it sort the classes by name, MMAction2 keeps the order of the file. Only who made a
checkpoint knows which it was.
"""

from __future__ import annotations

from pathlib import Path

from edgevid.specs.registry import check_choice
from edgevid.video.datasets.annotation import (
    find_file,
    label_of,
    need_file,
    numbered,
    ordered,
    read_lines,
    video_folder,
)
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout

FOLDERS = ("annotations", "labels")
ORDERS = ("sorted", "file")


def layout_of(name: str, title: str, prefix: str, frames: str) -> Layout:
    """``prefix`` begins the names of the lists; ``frames`` is the folder of the published archive."""

    def recognizes(root: Path) -> bool:
        return find_file(root, FOLDERS, [f"{prefix}-labels.csv"]) is not None

    def read(root: Path, split: str, choices: Choices) -> Dataset:
        of_classes = need_file(root, FOLDERS, [f"{prefix}-labels.csv"], "list of the classes")
        path = need_file(root, FOLDERS, [f"{prefix}-{split}.csv"], f"list of the {split} split")
        in_file = read_lines(of_classes)
        order, classes, others = both_orders(in_file, choices.labels or "sorted")
        index = numbered(classes)
        folder = video_folder(root, (frames, "rawframes", "frames"), choices)
        pattern = choices.pattern or "{:05d}.jpg"
        videos = []
        for line in read_lines(path):
            video, separator, label = line.partition(";")
            if not separator:
                raise DatasetError(
                    f"the {split} split of '{root}' has no classes ('{line}'): use the validation split"
                )
            videos.append(LabelledVideo(folder / video, label_of(label, index, path), video, pattern))
        return Dataset(name, root, split, classes, tuple(videos), order=order, other_classes=others)

    return Layout(name, title, f"{prefix}-labels.csv and {prefix}-validation.csv", recognizes, read)


def both_orders(in_file: list[str], order: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The order that was chosen, the classes in it, and the classes in the other."""
    check_choice("order of labels", order, ORDERS)
    other = next(each for each in ORDERS if each != order)
    return order, ordered(in_file, order), ordered(in_file, other)
