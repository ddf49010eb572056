"""From a video to the views of a protocol: decoded, resized by Pillow as in training, cropped, normalized."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from edgevid.benchmarks.evaluation.crops import center_crop, round_down
from edgevid.benchmarks.evaluation.protocols import Protocol
from edgevid.errors import BenchmarkError
from edgevid.specs import Preprocessing
from edgevid.video.frame import Picture, to_rgb
from edgevid.video.pick import pick_frames
from edgevid.video.source import Source
from edgevid.video.transforms import Preprocess, resize, resize_and_crop

FRACTIONS = tuple(tenth / 10 for tenth in range(1, 11))
"""Of the frames of a video: what early recognition has seen."""


class Views:
    """Reads videos for a network that takes clips of ``frames`` (T) frames; any thread may call it.

    A video is read by one thread, since several videos are read at the same time: with threads of its own
    the decoder took 15 to 35 % more processor time (90 frames of 340x256 H.264, EPYC, two cores).

    With ``early`` the views are not those of clips, but one for each of :data:`FRACTIONS`, from as many first
    frames of the video; the last one is the protocol's own.
    """

    def __init__(
        self, protocol: Protocol, preprocessing: Preprocessing, frames: int, early: bool = False
    ) -> None:
        self.protocol, self._frames, self._early = protocol, frames, early
        self.crop = preprocessing.crop
        self.short_side = self.crop if protocol.full else preprocessing.short_side
        self._preprocess = Preprocess(preprocessing)
        self._is_center = protocol.crops is center_crop and protocol.resize is round_down
        if not self._is_center and self.short_side < self.crop:
            raise BenchmarkError(
                f"protocol '{protocol.name}' crops {self.crop} pixels of a short side of {self.short_side}: "
                "use 'bundle', or a protocol with -full"
            )
        if early and protocol.views > 1:
            raise BenchmarkError(
                f"early recognition takes one view of a video, and protocol '{protocol.name}' has "
                f"{protocol.views}: use 'bundle' or 'uniform-1x1'"
            )

    def read(self, source: Source) -> Iterator[np.ndarray]:
        """Each view as float32 (T, 3, H, W): the crops of the first clip, those of the second, and so on.

        Raises ``VideoError`` if the video cannot be read.
        """
        indices = np.empty((0, self._frames), np.int64)
        pictures: dict[int, np.ndarray] = {}

        def choose(total_frames: int) -> np.ndarray:
            nonlocal indices
            indices = self._indices(total_frames)
            pictures.clear()
            return indices

        def keep(index: int, picture: Picture) -> None:
            pictures[index] = self._resized(to_rgb(picture))

        pick_frames(source, choose, keep, threads=1)
        for clip in indices:
            for crop in range(self.protocol.crop_count):
                yield self._view([pictures[index] for index in clip], crop)

    def read_all(
        self, source: Source, start: Callable[[int], None], keep: Callable[[np.ndarray], None]
    ) -> None:
        """Pass every frame's center crop, float32 (3, H, W), to ``keep``, in order.

        ``start`` gets the number of frames first; if it is called again, the frames begin again.
        """

        def choose(total_frames: int) -> np.ndarray:
            start(total_frames)
            return np.arange(total_frames)

        pick_frames(source, choose, lambda _, picture: keep(self._preprocess(to_rgb(picture))), threads=1)

    def _indices(self, total_frames: int) -> np.ndarray:
        if not self._early:
            return self.protocol.indices(total_frames, self._frames)
        seen = [frames_seen(total_frames, fraction) for fraction in FRACTIONS]
        return np.concatenate([self.protocol.indices(count, self._frames) for count in seen])

    def _resized(self, image: np.ndarray) -> np.ndarray:
        if self._is_center:  # only the region that the crop needs
            return resize_and_crop(image, self.short_side, self.crop)
        height, width = image.shape[:2]
        return resize(image, *self.protocol.resize(width, height, self.short_side))

    def _view(self, pictures: list[np.ndarray], crop: int) -> np.ndarray:
        view = np.empty((len(pictures), 3, self.crop, self.crop), np.float32)
        for picture, out in zip(pictures, view):
            height, width = picture.shape[:2]
            left, top, mirrored = self.protocol.crops(width, height, self.crop)[crop]
            pixels = picture[top : top + self.crop, left : left + self.crop]
            self._preprocess.normalize(pixels[:, ::-1] if mirrored else pixels, out)
        return view


def frames_seen(total_frames: int, fraction: float) -> int:
    """At least one; ``fraction`` is rounded up to whole frames."""
    return max(1, math.ceil(round(fraction * total_frames, 6)))
