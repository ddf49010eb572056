"""Fetch chosen frames of a video without decoding, or keeping, more than that takes."""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import av
import numpy as np

from edgevid.errors import VideoError
from edgevid.video.decode import (
    AsShown,
    Container,
    Picture,
    Stream,
    declared_duration_s,
    decoded_frames,
    open_video,
    to_rgb,
)

MAX_PASSES = 4
"""The second pass settles a cut file; more are for threads that treat damage differently each time."""

STAMPED_FORMATS = ("mov", "matroska")
"""Containers that store presentation stamps; elsewhere, as in AVI, a decoder guesses them after a jump."""

ROUNDING_S = 0.005
"""Matroska rounds stamps and durations to milliseconds."""

Choose = Callable[[int], Iterable[int]]
"""From the number of frames of a video to the indices of those that are wanted."""

Keep = Callable[[int, np.ndarray], None]
"""Takes the index and RGB image of a wanted frame: no full-size picture need stay in memory."""


def pick_frames(path: str | os.PathLike[str], choose: Choose, keep: Keep) -> int:
    """Decode the frames that ``choose`` wants and hand each to ``keep``, in order of presentation.

    The packets are counted first, which reads the file but decodes nothing. If that agrees with what the
    file declares, only the groups of pictures that hold a wanted frame are decoded. Otherwise, as in a cut
    file, the whole video is decoded; if fewer frames come out than were counted, ``choose`` is asked again
    and ``keep`` gets the frames of the last choice last.

    Returns
    -------
    int
        Frames in the video, as ``choose`` was told last.

    Raises
    ------
    VideoError
        If the file cannot be read or no frame can be decoded.
    """
    index = _index(path)
    if index.reliable and _by_seeking(path, index, _unique(choose(index.total)), keep):
        return index.total
    expected = max(1, index.total)
    for attempt in range(MAX_PASSES):
        wanted = set(_unique(choose(expected)))
        total = 0
        with open_video(path) as (container, stream):
            for picture, _ in decoded_frames(container, stream, str(path), warn=not attempt):
                if total in wanted:
                    keep(total, to_rgb(picture))
                total += 1
        if total == expected:
            return total
        expected = total
    raise VideoError(f"'{path}' decodes to another number of frames each time: convert it to a whole file")


@dataclass
class _Index:
    """Presentation stamps of every packet, and of those that start a group of pictures, both sorted.

    ``reliable`` if the file is whole as far as its packets tell, and its stamps find its frames.
    """

    stamps: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    total: int = 0
    reliable: bool = False


def _index(path: str | os.PathLike[str]) -> _Index:
    index = _Index()
    sound, end = True, 0
    with open_video(path) as (container, stream):
        # Where a file breaks off the count ends; decoding will tell what is left.
        with contextlib.suppress(av.error.FFmpegError):
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                index.total += not packet.is_discard  # decoded for the sake of others, in a trimmed file
                sound &= packet.pts is not None and not packet.is_corrupt and not packet.is_discard
                if sound:
                    index.stamps.append(packet.pts)
                    end = max(end, packet.pts + (packet.duration or 0))
                    if packet.is_keyframe:
                        index.keys.append(packet.pts)
        index.stamps.sort()
        index.keys.sort()
        sound &= len(set(index.stamps)) == index.total and bool(index.keys)
        sound &= container.format.name.startswith(STAMPED_FORMATS)
        if stream.frames:
            whole = index.total == stream.frames
        else:
            declared_s = declared_duration_s(container, stream)
            whole = declared_s is not None and float(end * stream.time_base) >= declared_s - ROUNDING_S
        index.reliable = sound and whole
    return index


def _by_seeking(path: str | os.PathLike[str], index: _Index, wanted: list[int], keep: Keep) -> bool:
    """Go from group to group; False if a frame does not turn up where the packets say it is."""
    with open_video(path) as (container, stream):
        as_shown = AsShown(stream, str(path))
        pictures: Iterable[Picture] = ()
        reached: int | None = None
        for i in wanted:
            stamp = index.stamps[i]
            key = index.keys[max(0, bisect.bisect_right(index.keys, stamp) - 1)]
            try:
                if reached is None or key > reached:
                    container.seek(key, stream=stream)
                    pictures = map(as_shown, _frames_from_here(container, stream))
                picture = next((p for p in pictures if p.frame.pts is None or p.frame.pts >= stamp), None)
            except av.error.FFmpegError:
                return False
            if picture is None or picture.frame.pts != stamp:
                return False
            reached = stamp
            keep(i, to_rgb(picture))
    return True


def _frames_from_here(container: Container, stream: Stream) -> Iterable[av.VideoFrame]:
    return itertools.chain.from_iterable(packet.decode() for packet in container.demux(stream))


def _unique(indices: Iterable[int]) -> list[int]:
    return sorted({int(i) for i in np.ravel(indices)})
