"""Read selected frames of a video, decoding and keeping no more than necessary."""

from __future__ import annotations

import bisect
import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from edgevid.errors import VideoError
from edgevid.video.declared import declared_duration_s, indexed_packets
from edgevid.video.decode import AsShown, Container, Stream, decoded_frames, open_video
from edgevid.video.frame import Picture
from edgevid.video.frame_folder import count_frames, folder_pictures, folder_timeline
from edgevid.video.hidden import shown_frames
from edgevid.video.pipeline import ahead
from edgevid.video.source import FrameFolder, Source
from edgevid.video.stopwatch import Stopwatch
from edgevid.video.timestamps import Timeline

MAX_PASSES = 4
"""The second pass settles a cut file; more are for threads that treat damage differently each time."""

STAMPED_FORMATS = ("mov", "matroska")
"""Containers that store presentation stamps; elsewhere, as in AVI, a decoder guesses them after a jump."""

ROUNDING_S = 0.005
"""Matroska rounds stamps and durations to milliseconds."""

Choose = Callable[[int], Iterable[int]]
"""Maps the number of frames of a video to the indices of the frames to decode."""

Keep = Callable[[int, Picture], None]
"""Called with the index and picture of each selected frame, so no full-size picture stays in memory."""


def pick_frames(
    path: Source, choose: Choose, keep: Keep, watch: Stopwatch | None = None, threads: int = 0
) -> Timeline:
    """Decode the frames that ``choose`` selects and pass each to ``keep``, in presentation order.

    Decoding goes on in other threads while ``keep`` works: in as many as ``threads``, 0 for one per core.
    With 1 there is no other, for callers that read several videos at once. ``watch`` measures it.

    The packets are scanned first, without decoding. If they agree with what the file declares, only the
    groups of pictures that hold a chosen frame are decoded. Otherwise (a truncated file, or frames that
    contradict the packets) the whole video is decoded. If the number of frames then differs from the
    count, ``choose`` is called again, perhaps before ``keep`` got all frames of the choice before; it gets
    those of the last choice last.

    Returns the timeline of the whole video; the last call of ``choose`` got its number of frames. Raises
    ``VideoError`` if the file cannot be read or no frame can be decoded.
    """
    timelines: list[Timeline] = []

    def pictures() -> Generator[tuple[int, Picture]]:
        timelines.append((yield from _picked(path, choose, threads)))

    watch = watch or Stopwatch()
    decoded = watch.measuring("decoding", pictures())
    with contextlib.closing(decoded) if threads == 1 else ahead(decoded, depth=1) as chosen:
        for i, picture in chosen:
            keep(i, picture)
    return timelines[0]


def _picked(path: Source, choose: Choose, threads: int) -> Generator[tuple[int, Picture], None, Timeline]:
    if isinstance(path, FrameFolder):
        total = count_frames(path)
        yield from folder_pictures(path, _unique(choose(total)))
        return folder_timeline(total)
    index = _index(path)
    if index.reliable and (yield from _by_seeking(path, index, _unique(choose(index.total)), threads)):
        return index.timeline()
    expected = max(1, index.total)
    for attempt in range(MAX_PASSES):
        chosen = set(_unique(choose(expected)))
        timeline = Timeline()
        with open_video(path, threads) as (container, stream):
            for picture, time_s in decoded_frames(container, stream, str(path), warn=not attempt):
                if timeline.frames in chosen:
                    yield timeline.frames, picture
                timeline.add(time_s)
        if timeline.frames == expected:
            return timeline
        expected = timeline.frames
    raise VideoError(
        f"'{path}' decodes to a different number of frames each time: convert it to an undamaged file"
    )


@dataclass
class _Index:
    """The packets of a file: the ``total`` of shown frames, and their sorted presentation ``stamps``.

    ``keys`` are the stamps of packets that start a group of pictures. ``reliable`` if the packets show no
    damage and the stamps identify the frames.
    """

    stamps: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    total: int = 0
    reliable: bool = False
    time_base: Fraction = Fraction(1)

    def timeline(self) -> Timeline:
        timeline = Timeline()
        for stamp in self.stamps:
            timeline.add(float((stamp - self.stamps[0]) * self.time_base))
        return timeline


def _index(path: Source) -> _Index:
    index = _Index()
    sound, packets, end = True, 0, 0
    with open_video(path) as (container, stream):
        index.time_base = stream.time_base or Fraction(1)
        codec = stream.codec_context.name
        # In a truncated file the count ends early; decoding finds the frames that are left.
        with contextlib.suppress(av.error.FFmpegError):
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                packets += 1
                sound &= packet.pts is not None and not packet.is_corrupt
                # What an edit list leaves out is decoded for the sake of others.
                shown = 0 if packet.is_discard else shown_frames(codec, memoryview(packet))
                sound &= shown in (0, 1)
                index.total += 1 if shown is None else shown
                if not sound or packet.pts is None:
                    continue
                end = max(end, packet.pts + (packet.duration or 0))
                if shown:
                    index.stamps.append(packet.pts)
                if packet.is_keyframe:
                    index.keys.append(packet.pts)
        index.stamps.sort()
        index.keys.sort()
        sound &= bool(index.stamps and index.keys) and len(set(index.stamps)) == index.total
        # Frames before the first key frame cannot be decoded.
        sound = sound and index.keys[0] <= index.stamps[0]
        sound &= container.format.name.startswith(STAMPED_FORMATS)
        if sound:
            # Without durations, the last frame may end an interval later than its stamp.
            interval = (index.stamps[-1] - index.stamps[0]) / max(1, index.total - 1)
            end_s = float((end + interval) * index.time_base)
            index.reliable = _is_whole(container, stream, packets, end_s)
    return index


def _is_whole(container: Container, stream: Stream, packets: int, end_s: float) -> bool:
    expected = indexed_packets(stream) or stream.frames
    if expected:
        return packets == expected
    declared_s = declared_duration_s(container, stream)
    # What a browser records declares nothing: there is what there is.
    return declared_s is None or end_s >= declared_s - ROUNDING_S


def _by_seeking(
    path: Source, index: _Index, chosen: list[int], threads: int
) -> Generator[tuple[int, Picture], None, bool]:
    """Go from group to group; False if other frames are decoded on the way than the packets promise."""
    with open_video(path, threads) as (container, stream):
        as_shown = AsShown(stream, str(path))
        pictures: Iterator[Picture] = iter(())
        reached: int | None = None
        coming = 0  # the index of the next frame
        for i in chosen:
            key = index.keys[max(0, bisect.bisect_right(index.keys, index.stamps[i]) - 1)]
            try:
                if reached is None or key > reached:
                    container.seek(key, stream=stream)
                    pictures = _pictures_from(key, container, stream, as_shown)
                    coming = bisect.bisect_left(index.stamps, key)
                for picture in pictures:
                    if picture.frame.pts != index.stamps[coming]:
                        return False
                    coming += 1
                    if coming > i:
                        break
                else:
                    return False
            except av.error.FFmpegError:
                return False
            reached = index.stamps[i]
            yield i, picture
    return True


def _pictures_from(key: int, container: Container, stream: Stream, as_shown: AsShown) -> Iterator[Picture]:
    """What is shown before the key frame is left out: it may lack what it refers to."""
    for picture in map(as_shown, _frames_from_here(container, stream)):
        if picture.frame.pts is None or picture.frame.pts >= key:
            yield picture


def _frames_from_here(container: Container, stream: Stream) -> Iterable[av.VideoFrame]:
    return itertools.chain.from_iterable(packet.decode() for packet in container.demux(stream))


def _unique(indices: Iterable[int]) -> list[int]:
    return sorted({int(i) for i in np.ravel(np.asarray(indices))})
