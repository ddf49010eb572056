"""Load the input clip of a network from a video file."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.specs.registry import check_choice
from edgevid.video.pick import pick_frames
from edgevid.video.sampling import dense_indices, segment_indices
from edgevid.video.source import Source
from edgevid.video.timestamps import Timeline
from edgevid.video.transforms import Preprocess

SAMPLINGS = ("segments", "dense")


@dataclass(frozen=True)
class Clip:
    """A preprocessed clip and the time it took.

    ``data``: float32 (clips, T, 3, H, W). ``indices``: int64 (clips, T), the frames it shows, counted from
    0 among those of ``timeline``, which is of the whole video. Times are wall-clock milliseconds.
    """

    data: np.ndarray
    indices: np.ndarray
    timeline: Timeline
    decoding_ms: float
    preprocessing_ms: float

    @property
    def total_frames(self) -> int:
        return self.timeline.frames


def load_clip(
    path: Source,
    preprocessing: Preprocessing,
    frames: int,
    sampling: str | None = None,
    clips: int = 1,
) -> Clip:
    """Decode, sample and preprocess a clip of ``frames`` (T) frames.

    ``sampling`` ("segments" or "dense") overrides ``preprocessing.sampling``. ``clips`` is the number of
    windows of dense sampling; segments always give one clip. Raises ``VideoError`` if the video cannot be
    read and ``UnknownNameError`` for an unknown sampling.
    """
    sampling = sampling or preprocessing.sampling
    check_choice("sampling", sampling, SAMPLINGS)
    transform = Preprocess(preprocessing)
    rows = clips if sampling == "dense" else 1
    data = np.empty((rows, frames, 3, preprocessing.crop, preprocessing.crop), dtype=np.float32)
    indices = np.empty((rows, frames), dtype=np.int64)
    preprocessing_s = 0.0

    def choose(total_frames: int) -> np.ndarray:
        if sampling == "dense":
            indices[:] = dense_indices(total_frames, frames, clips=rows)
        else:
            indices[:] = segment_indices(total_frames, frames)
        return indices

    def keep(index: int, image: np.ndarray) -> None:
        nonlocal preprocessing_s
        start_s = time.perf_counter()
        first, *repeats = map(tuple, np.argwhere(indices == index))
        transform(image, out=data[first])
        for place in repeats:
            data[place] = data[first]
        preprocessing_s += time.perf_counter() - start_s

    start_s = time.perf_counter()
    timeline = pick_frames(path, choose, keep)
    decoding_s = time.perf_counter() - start_s - preprocessing_s
    return Clip(data, indices, timeline, 1e3 * decoding_s, 1e3 * preprocessing_s)
