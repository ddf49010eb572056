"""Read selected frames of a video that lies on disk as a folder of pictures."""

from __future__ import annotations

from collections.abc import Generator

import av

from edgevid.errors import VideoError
from edgevid.video.decode import decoded_frames, open_video
from edgevid.video.frame import Picture
from edgevid.video.source import FrameFolder
from edgevid.video.timestamps import USUAL_INTERVAL_S, Timeline


def count_frames(folder: FrameFolder) -> int:
    """Of a folder that does not say: how many pictures there are from number 1 on, without a gap.

    Raises ``VideoError`` if there is none.
    """
    if folder.frames is not None:
        return folder.frames
    try:
        names = {entry.name for entry in folder.path.iterdir()}
    except OSError as error:
        raise VideoError(
            f"no frames at '{folder}' ({error.strerror}): extract them, or check the path"
        ) from None
    count = 0
    while folder.pattern.format(count + 1) in names:
        count += 1
    if not count:
        first = folder.pattern.format(1)
        raise VideoError(f"'{folder}' has no '{first}': give the pattern of its files' names")
    return count


def folder_timeline(frames: int) -> Timeline:
    """Pictures have no times: they are taken to follow each other at the usual rate."""
    timeline = Timeline()
    for index in range(frames):
        timeline.add(index * USUAL_INTERVAL_S)
    return timeline


def folder_pictures(folder: FrameFolder, indices: list[int]) -> Generator[tuple[int, Picture]]:
    """Decode the pictures of sorted ``indices``, which count from 0. Raises ``VideoError``."""
    for index in indices:
        path = folder.path / folder.pattern.format(index + 1)
        with open_video(path, threads=1) as (container, stream):
            try:
                picture, _ = next(decoded_frames(container, stream, str(path), warn=False))
            except av.error.FFmpegError as error:
                raise VideoError(f"'{path}' cannot be decoded ({error.strerror}): copy it again") from None
            yield index, picture
