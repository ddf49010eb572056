"""Whole data sets as small pictures in memory, for training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgevid.errors import EdgevidError, VideoError
from edgevid.video.frame import Picture, to_rgb
from edgevid.video.pick import pick_frames
from edgevid.video.source import Source
from edgevid.video.transforms import resized_size

GIB = 1 << 30


def small_frames(path: Source, short_side: int, choose: Callable[[int], np.ndarray]) -> np.ndarray:
    """Decode the frames that ``choose`` selects, given the number of frames, and resize their short side.

    In this thread alone, as ``decode_all`` reads several videos at once. Returns uint8 RGB
    ``(frames, height, width, 3)``. Raises ``VideoError`` for a video that cannot be read.
    """
    indices = np.empty(0, np.int64)
    kept: dict[int, np.ndarray] = {}

    def remember(total_frames: int) -> np.ndarray:
        nonlocal indices
        indices = choose(total_frames)
        return indices

    def keep(index: int, picture: Picture) -> None:
        kept[index] = _resize(to_rgb(picture), short_side)

    pick_frames(path, remember, keep, threads=1)
    return np.stack([kept[int(index)] for index in indices])


def evenly(most: int) -> Callable[[int], np.ndarray]:
    """All frames of a video, or ``most`` of them at equal distances."""

    def choose(total_frames: int) -> np.ndarray:
        count = min(most, total_frames)
        return (np.arange(count) * total_frames // count).astype(np.int64)

    return choose


def decode_all(
    paths: Iterable[Source],
    short_side: int,
    choose: Callable[[int], np.ndarray],
    threads: int,
    memory_gib: float,
) -> Iterator[np.ndarray | VideoError]:
    """``small_frames`` of each video, in order; of a damaged one its error.

    Raises ``EdgevidError`` if they need more than ``memory_gib``.
    """
    used = 0

    def decode(path: Source) -> np.ndarray | VideoError:
        try:
            return small_frames(path, short_side, choose)
        except VideoError as error:
            return error

    with ThreadPoolExecutor(threads) as workers:
        try:
            for result in workers.map(decode, paths):
                used += result.nbytes if isinstance(result, np.ndarray) else 0
                if used > memory_gib * GIB:
                    raise EdgevidError(
                        f"the decoded videos need more than {memory_gib:g} GiB: allow more with --memory, or "
                        "choose a smaller --size or fewer --frames"
                    )
                yield result
        finally:
            workers.shutdown(wait=False, cancel_futures=True)


def _resize(image: np.ndarray, short_side: int) -> np.ndarray:
    """The whole picture as ``resize_and_crop`` resizes it: columns before rows."""
    height, width = image.shape[:2]
    new_width, new_height = resized_size(width, height, short_side)
    if (width, height) == (new_width, new_height):
        return image
    from PIL import Image

    columns = Image.fromarray(image).resize((new_width, height), Image.Resampling.BILINEAR)
    return np.asarray(columns.resize((new_width, new_height), Image.Resampling.BILINEAR))
