"""Something-Something V2: lists and classes in JSON, videos as WebM or as folders of frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgevid.video.datasets.annotation import find_file, label_of, need_file, numbered, video_folder
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout
from edgevid.video.datasets.twentybn import FOLDERS, both_orders

PREFIXES = ("something-something-v2-", "")
VIDEOS = ("20bn-something-something-v2", "videos")
FRAMES = ("20bn-something-something-v2-frames", "rawframes", "frames")


def _files(kind: str) -> list[str]:
    return [f"{prefix}{kind}.json" for prefix in PREFIXES]


def _recognizes(root: Path) -> bool:
    return all(find_file(root, FOLDERS, _files(kind)) for kind in ("labels", "validation"))


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    of_classes = need_file(root, FOLDERS, _files("labels"), "list of the classes")
    path = need_file(root, FOLDERS, _files(split), f"list of the {split} split")
    order, classes, others = both_orders(_classes(of_classes), choices.labels or "file")
    index = numbered(classes)
    has_videos = any((root / name).is_dir() for name in VIDEOS)
    has_frames = any((root / name).is_dir() for name in FRAMES)
    as_frames = choices.pattern is not None or (has_frames and not has_videos and choices.videos is None)
    folder = video_folder(root, FRAMES if as_frames else VIDEOS, choices)
    pattern = choices.pattern or "{:06d}.jpg"
    videos = []
    for item in _items(path):
        if "template" not in item:
            raise DatasetError(f"the {split} split of '{root}' has no classes: use the validation split")
        name = str(item["id"])
        label = label_of(str(item["template"]).replace("[", "").replace("]", ""), index, path)
        videos.append(
            LabelledVideo(folder / name, label, name, pattern)
            if as_frames
            else LabelledVideo(folder / f"{name}.webm", label, name)
        )
    return Dataset(LAYOUT.name, root, split, classes, tuple(videos), order=order, other_classes=others)


def _classes(path: Path) -> list[str]:
    """In the order of their indices, which the file has as text."""
    try:
        index = {name: int(number) for name, number in _parsed(path).items()}
    except (AttributeError, TypeError, ValueError):
        index = {}
    if not index or sorted(index.values()) != list(range(len(index))):
        raise DatasetError(f"'{path}' does not number the classes from 0: download it again")
    return sorted(index, key=index.__getitem__)


def _items(path: Path) -> list[dict[str, Any]]:
    items = _parsed(path)
    if not isinstance(items, list) or not all(isinstance(item, dict) and "id" in item for item in items):
        raise DatasetError(f"'{path}' is not a list of videos with id and template: download it again")
    return items


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise DatasetError(f"'{path}' is not JSON: download it again") from None


LAYOUT = Layout(
    name="something-v2",
    title="Something-Something V2: WebM or folders of frames",
    files="something-something-v2-labels.json and something-something-v2-validation.json",
    recognizes=_recognizes,
    read=_read,
)
