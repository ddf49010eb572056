"""One way in which data sets lie on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgevid.video.datasets.dataset import Dataset

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Choices:
    """What the files of a data set leave open.

    ``fold``: which of several divisions into train and test, from 1. ``labels``: the order of the classes,
    "sorted" by name or as in the "file"; None takes the layout's usual one. ``videos``: the folder that the
    videos are in, if not the layout's usual one. ``pattern``: the file name of a picture by its number, such
    as ``img_{:05d}.jpg``.
    """

    fold: int = 1
    labels: str | None = None
    videos: Path | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class Layout:
    """``recognizes`` tells by the names of a few files; ``read`` raises ``DatasetError``.

    ``files`` says in a message which files it needs. ``split``, one of ``splits``, is the one whose accuracy
    is published. Of the layouts that recognize a folder, the one of the lowest ``rank`` is taken.
    """

    name: str
    title: str
    files: str
    recognizes: Callable[[Path], bool]
    read: Callable[[Path, str, Choices], Dataset]
    split: str = "validation"
    splits: tuple[str, ...] = SPLITS
    rank: int = 0
