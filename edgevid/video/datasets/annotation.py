"""Find and read the files that say which videos a data set has."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgevid.video.datasets.dataset import DatasetError
from edgevid.video.datasets.layout import Choices


def find_file(root: Path, folders: Sequence[str], patterns: Iterable[str]) -> Path | None:
    """The first file in the root, or in one of its ``folders``, that fits the first pattern that any fits."""
    for pattern in patterns:
        for folder in ("", *folders):
            if found := sorted((root / folder).glob(pattern)):
                return found[0]
    return None


def need_file(root: Path, folders: Sequence[str], patterns: Sequence[str], what: str) -> Path:
    """:func:`find_file`; raises ``DatasetError`` if there is none."""
    path = find_file(root, folders, patterns)
    if path is None:
        where = f"'{root}'" + (f" or its folder {' or '.join(folders)}" if folders else "")
        raise DatasetError(f"no {what} in {where}: it needs a file {' or '.join(patterns)}")
    return path


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, without what surrounds them."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"'{path}' is not UTF-8 text: download the annotation again") from None
    return [line.strip() for line in lines if line.strip()]


def first_line(path: Path) -> str:
    """To recognize a file by; what is not text does not matter here."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline()


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file by its header, which has at least ``columns``."""
    rows = list(csv.DictReader(read_lines(path)))
    for number, row in enumerate(rows, 1):
        if missing := [name for name in columns if row.get(name) is None]:
            raise DatasetError(
                f"row {number} of '{path}' has no {', '.join(missing)}: "
                f"it needs the columns {', '.join(columns)}"
            )
    return rows


def label_of(name: str, index: Mapping[str, int], path: Path) -> int:
    """Raises ``DatasetError`` for a class that the list of classes does not have."""
    try:
        return index[name]
    except KeyError:
        raise DatasetError(f"'{path}' has the class '{name}', which is not among the classes") from None


def video_folder(root: Path, names: Sequence[str], choices: Choices) -> Path:
    """The folder that was chosen, or the first of ``names`` in the root that is there, or else the root."""
    if choices.videos is not None:
        if not choices.videos.is_dir():
            raise DatasetError(f"no folder of videos at '{choices.videos}': check the path")
        return choices.videos
    return next((root / name for name in names if (root / name).is_dir()), root)


def numbered(classes: Iterable[str]) -> dict[str, int]:
    return {name: label for label, name in enumerate(classes)}


def ordered(classes: Iterable[str], order: str) -> tuple[str, ...]:
    return tuple(sorted(classes) if order == "sorted" else classes)


def frames_or_file(video: Path, choices: Choices) -> Path:
    """The path of a video: its frames, if their pattern is chosen, lie in a folder without its suffix."""
    return video.with_suffix("") if choices.pattern else video
