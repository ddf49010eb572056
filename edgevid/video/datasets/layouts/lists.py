"""Lists as of TSN, TSM, MMAction2 and PaddleVideo: ``VIDEO LABEL`` or ``FOLDER FRAMES LABEL`` in each line.

Names may have spaces, so a line is split from its right end. The classes' names are in a file beside the
list or in the root; without one they are numbers.
"""

from __future__ import annotations

from pathlib import Path

from edgevid.video.datasets.annotation import find_file, read_lines, video_folder
from edgevid.video.datasets.dataset import Dataset, DatasetError, LabelledVideo
from edgevid.video.datasets.layout import Choices, Layout
from edgevid.video.files import VIDEO_SUFFIX

FOLDERS = ("annotations", "file_list", "labels")
WORDS = {"train": ("train",), "validation": ("val",), "test": ("test",)}
NAMES = ("category.txt", "categories.txt", "classes.txt", "labels.txt", "label_map*.txt", "*_label_map.txt")
BEGINNING = 20


def _lists(root: Path, split: str) -> list[Path]:
    """The text files of the first folder that has any of a split."""
    for folder in ("", *FOLDERS):
        found = {
            path
            for word in WORDS[split]
            for path in (root / folder).glob("*.txt")
            if word in path.stem.lower() and _is_list(path)
        }
        if found:
            return sorted(found)
    return []


def _is_list(path: Path) -> bool:
    try:
        lines = read_lines(path)[:BEGINNING]
        return bool(lines) and all(_parts(line, path) for line in lines)
    except DatasetError:
        return False


def _parts(line: str, path: Path) -> tuple[str, int | None, int]:
    """The video, its number of frames if the line says it, and its label."""
    words = line.rsplit(maxsplit=2)
    try:
        label = int(words[-1])
        if len(words) == 3 and words[1].isdecimal():
            return words[0], int(words[1]), label
        video = line.rsplit(maxsplit=1)[0]
        if len(words) > 1 and label >= 0:
            return video, None, label
    except ValueError:
        pass
    raise DatasetError(f"'{path}' has the line '{line}': it must be 'VIDEO LABEL' or 'FOLDER FRAMES LABEL'")


def _read(root: Path, split: str, choices: Choices) -> Dataset:
    if root.is_file():
        path, root = root, root.parent
    else:
        path = _the_list(root, split)
    default = choices.pattern or "img_{:05d}.jpg"
    listed = [_parts(line, path) for line in read_lines(path)]
    folder = _video_folder(root, split, listed[0][0] if listed else "", choices)
    videos = []
    for name, frames, label in listed:
        is_file = frames is None or VIDEO_SUFFIX.fullmatch(Path(name).suffix)
        videos.append(LabelledVideo(folder / name, label, name, None if is_file else default, frames))
    names = find_file(path.parent, (), NAMES) or find_file(root, FOLDERS, NAMES)
    highest = max((video.label for video in videos), default=-1)
    classes = read_lines(names) if names else [str(label) for label in range(highest + 1)]
    if highest >= len(classes):
        raise DatasetError(f"'{path}' has the label {highest}, but '{names}' has {len(classes)} classes")
    return Dataset(path.stem, root, split, tuple(classes), tuple(videos))


def _video_folder(root: Path, split: str, first: str, choices: Choices) -> Path:
    """The folder that was chosen, or the usual one that has the ``first`` video, or else the root."""
    if choices.videos is not None:
        return video_folder(root, (), choices)
    words = ("", "_".join(("", split)), "_".join(("", *WORDS[split])))
    usual = [root / f"{name}{word}" for name in ("videos", "rawframes", "frames") for word in words]
    return next((folder for folder in (root, *usual) if (folder / first).exists()), root)


def _the_list(root: Path, split: str) -> Path:
    found = _lists(root, split)
    if not found:
        raise DatasetError(f"no list of the {split} split in '{root}': name the list itself")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DatasetError(f"'{root}' has several lists of the {split} split: name one of {names}")
    return found[0]


LAYOUT = Layout(
    name="lists",
    title="lists of TSN, TSM, MMAction2 and PaddleVideo: video files or folders of frames",
    files="a text file such as val.txt with 'VIDEO LABEL' or 'FOLDER FRAMES LABEL' in each line",
    recognizes=lambda root: root.is_file() or any(_lists(root, split) for split in WORDS),
    read=_read,
    rank=1,
)
