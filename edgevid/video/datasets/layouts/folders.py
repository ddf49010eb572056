"""A folder of videos for each class; its name is the class.

The folders lie in the root, and are then all of the test split, or in one folder for each split. Classes are
in the order of their sorted names. With a pattern of frames' names, a video is a folder of frames.
"""

from __future__ import annotations

from pathlib import Path

from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import SPLITS, Choices, Layout
from edgevid.video.files import VIDEO_SUFFIX

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("validation", "val"),
    "test": ("test", "testing"),
}


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _videos(folder: Path, pattern: str | None = None) -> list[Path]:
    if pattern is not None:
        return _folders(folder)
    return sorted(path for path in folder.iterdir() if VIDEO_SUFFIX.fullmatch(path.suffix))


def _split_folder(root: Path, split: str) -> Path | None:
    folders = (root / name for name in SPLIT_FOLDERS[split])
    return next((folder for folder in folders if folder.is_dir()), None)


def _recognizes(root: Path) -> bool:
    below = [folder for split in SPLITS if (folder := _split_folder(root, split))] or [root]
    return any(_videos(folder) for parent in below for folder in _folders(parent))


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    parents = {name: folder for name in SPLITS if (folder := _split_folder(root, name))} or {"test": root}
    if split not in parents:
        raise DatasetError(f"'{root}' has no split '{split}': it has {', '.join(parents)}")
    # A class may have no video in one split.
    classes = sorted({folder.name for parent in parents.values() for folder in _folders(parent)})
    videos = [
        LabelledVideo(path, label, f"{name}/{path.name}", choices.pattern)
        for label, name in enumerate(classes)
        if (parents[split] / name).is_dir()
        for path in _videos(parents[split] / name, choices.pattern)
    ]
    return Dataset(root.resolve().name, root, split, tuple(classes), tuple(videos))


LAYOUT = Layout(
    name="folders",
    title="a folder of videos for each class",
    files="CLASS/VIDEO, or train/CLASS/VIDEO and test/CLASS/VIDEO",
    recognizes=_recognizes,
    read=_read,
    split="test",
    rank=2,
)
