"""What a data set is to everything that reads one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgevid.errors import EdgevidError
from edgevid.video.source import FrameFolder, Source


class DatasetError(EdgevidError):
    """A data set whose annotation is missing, incomplete, or of another layout."""


@dataclass(frozen=True)
class LabelledVideo:
    """A video file, or a folder of pictures if ``pattern`` is given, and the index of its class.

    ``name`` is unique within the data set and does not depend on where that lies. ``pattern`` names picture
    number N by ``pattern.format(N)``, from 1. ``frames`` is their number as the annotation says; None if it
    says nothing.
    """

    path: Path
    label: int
    name: str
    pattern: str | None = None
    frames: int | None = None

    @property
    def source(self) -> Source:
        """What ``load_clip``, ``read_clip`` and ``pick_frames`` read."""
        if self.pattern is None:
            return self.path
        return FrameFolder(self.path, self.pattern, self.frames)

    @property
    def exists(self) -> bool:
        return self.path.is_file() if self.pattern is None else self.path.is_dir()


@dataclass(frozen=True)
class Dataset:
    """The videos of one split, in the order of the annotation; some of them may not be there.

    ``classes[label]`` is the name of a class. Where checkpoints were trained with two orders of the classes,
    ``order`` is the one of these, "sorted" or "file", and ``other_classes`` has them in the other order.
    """

    name: str
    root: Path
    split: str
    classes: tuple[str, ...]
    videos: tuple[LabelledVideo, ...]
    layout: str = ""
    order: str | None = None
    other_classes: tuple[str, ...] | None = None

    @property
    def other_order(self) -> Dataset | None:
        """The same videos with labels in the other order of the classes; None if there is only one."""
        if self.order is None or self.other_classes is None or self.other_classes == self.classes:
            return None
        index = {name: label for label, name in enumerate(self.other_classes)}
        return replace(
            self,
            classes=self.other_classes,
            other_classes=self.classes,
            order="file" if self.order == "sorted" else "sorted",
            videos=tuple(replace(video, label=index[self.classes[video.label]]) for video in self.videos),
        )
