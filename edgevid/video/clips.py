"""Load the input clip of a network from a video file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.specs.registry import check_choice
from edgevid.video.frame import Picture
from edgevid.video.pick import pick_frames
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.sampling import dense_indices, segment_indices
from edgevid.video.source import Source
from edgevid.video.stopwatch import Stopwatch
from edgevid.video.timestamps import Timeline

SAMPLINGS = ("segments", "dense")


@dataclass(frozen=True)
class Clip:
    """A preprocessed clip.

    ``data``: float32 (clips, T, 3, H, W). ``indices``: int64 (clips, T), the frames it shows, counted from
    0 among those of ``timeline``, which is of the whole video. ``method`` is how it was preprocessed.
    """

    data: np.ndarray
    indices: np.ndarray
    timeline: Timeline
    method: str

    @property
    def total_frames(self) -> int:
        return self.timeline.frames


def load_clip(
    path: Source,
    preprocessing: Preprocessing,
    frames: int,
    sampling: str | None = None,
    clips: int = 1,
    watch: Stopwatch | None = None,
    exact: bool = True,
) -> Clip:
    """Decode, sample and preprocess a clip of ``frames`` (T) frames.

    ``sampling`` ("segments" or "dense") overrides ``preprocessing.sampling``. ``clips`` is the number of
    windows of dense sampling; segments always give one clip. ``watch`` measures the stages; ``exact`` is of
    :class:`FramePreprocessor`. Raises ``VideoError`` if the video cannot be read and ``UnknownNameError`` for
    an unknown sampling.
    """
    sampling = sampling or preprocessing.sampling
    check_choice("sampling", sampling, SAMPLINGS)
    rows = clips if sampling == "dense" else 1

    def choose(total_frames: int) -> np.ndarray:
        if sampling == "dense":
            return dense_indices(total_frames, frames, clips=rows)
        return segment_indices(total_frames, frames)[None]

    return read_clip(path, preprocessing, (rows, frames), choose, watch, exact)


def read_clip(
    path: Source,
    preprocessing: Preprocessing,
    shape: tuple[int, int],
    choose: Callable[[int], np.ndarray],
    watch: Stopwatch | None = None,
    exact: bool = True,
) -> Clip:
    """Decode and preprocess the frames that ``choose`` selects, at the same time; repeated frames once.

    ``choose`` maps the number of frames of the video to int64 indices of ``shape`` (clips, T).
    """
    watch = watch or Stopwatch()
    preprocess = FramePreprocessor(preprocessing, exact)
    data = np.empty((*shape, 3, preprocessing.crop, preprocessing.crop), dtype=np.float32)
    indices = np.empty(shape, dtype=np.int64)

    def remember(total_frames: int) -> np.ndarray:
        indices[:] = choose(total_frames)
        return indices

    def keep(index: int, picture: Picture) -> None:
        places = [tuple(place) for place in np.argwhere(indices == index)]
        if not places:  # another choice has been made in the meantime
            return
        first, *repeats = places
        with watch.measure("preprocessing"):
            preprocess(picture, out=data[first])
            for place in repeats:
                data[place] = data[first]

    timeline = pick_frames(path, remember, keep, watch)
    return Clip(data, indices, timeline, preprocess.method)
