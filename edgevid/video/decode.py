"""From a video file to decoded frames with the time at which each is shown.

Decoding is PyAV (FFmpeg) with threads. Times come from presentation time stamps, never from counting,
so a variable frame rate is kept. Pictures have the geometry that FFmpeg shows and the colors of BT.709.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import av

from edgevid.errors import VideoError
from edgevid.video.address import silence
from edgevid.video.color import ToRGB
from edgevid.video.damage import Damage
from edgevid.video.declared import declared_duration_s, declared_frame_rate, shortfall
from edgevid.video.frame import Frame, Picture
from edgevid.video.geometry import Geometry, square_width
from edgevid.video.source import INDEX_FIRST, Source, open_container
from edgevid.video.stopwatch import Stopwatch
from edgevid.video.stream_choice import choose_stream
from edgevid.video.timestamps import Arrivals, Clock, Timeline

logger = logging.getLogger("edgevid")

Container: TypeAlias = av.container.InputContainer
Stream: TypeAlias = av.video.stream.VideoStream


@dataclass(frozen=True)
class VideoInfo:
    """Metadata of a video; unknown values are None.

    ``width`` and ``height`` are display pixels: after pixels with aspect ratio ``pixel_aspect`` were made
    square, ``mirrored`` left to right, and rotated by ``rotation`` degrees counterclockwise.
    ``frame_rate`` is in frames per second, averaged if it varies. ``frames`` and ``duration_s`` are as
    declared by the file, which may overstate them, unless :func:`measured`.
    """

    path: str
    width: int
    height: int
    frame_rate: float | None
    duration_s: float | None
    frames: int | None
    rotation: int
    codec: str
    mirrored: bool = False
    pixel_aspect: float = 1.0


def probe(path: Source) -> VideoInfo:
    """Describe a video file, and decode its first frame to prove that it can be read.

    Raises ``VideoError`` if the file is missing, is not a video, or has no frame that can be decoded.
    """
    with open_video(path) as (container, stream):
        with contextlib.closing(decoded_frames(container, stream, str(path), warn=False)) as frames:
            first, _ = next(frames)
        return describe(container, stream, first, str(path))


def read_frames(path: Source, threads: int = 0, watch: Stopwatch | None = None) -> Generator[Frame]:
    """Yield every frame of a file in presentation order, not yet converted, with one in memory at a time.

    A damaged or truncated file yields the frames that can be decoded, then logs one warning. ``threads``
    is the number of decoder threads; 0 uses every core. ``watch`` measures decoding. Raises ``VideoError`` at
    the first frame, like :func:`probe`.
    """
    with open_video(path, threads) as (container, stream):
        for picture, time_s in decoded_frames(container, stream, str(path), watch=watch):
            yield Frame(picture, time_s)


@contextlib.contextmanager
def open_video(path: Source, threads: int = 0) -> Iterator[tuple[Container, Stream]]:
    """Open a source and its default or best video stream; ``threads`` decode, 0 on every core."""
    with open_container(path) as container:
        stream = video_stream(container, str(path))
        stream.codec_context.thread_count = threads
        yield container, stream


def video_stream(container: Container, name: str) -> Stream:
    """The video of a container, set to decode with threads; raises as :func:`choose_stream`."""
    stream = choose_stream(container, name)
    stream.thread_type = "AUTO"
    return stream


def decoded_frames(
    container: Container, stream: Stream, name: str, warn: bool = True, watch: Stopwatch | None = None
) -> Generator[tuple[Picture, float]]:
    """Yield each decoded picture, not yet converted, and its time in seconds after the first.

    Times only go forward, by the rules of :class:`Clock`. Packets that cannot be decoded are left out, and
    ``warn`` logs one line about it at the end. ``watch`` measures decoding, without the wait for packets.
    """
    watch = watch or Stopwatch()
    arrivals = Arrivals()
    as_shown = AsShown(stream, name, warn)
    clock = Clock(declared_frame_rate(stream))
    packets = frames = 0
    damage = Damage()
    first_stamp_s: float | None = None
    for packet in _packets(container, stream, name):
        if packet is None:
            damage.add()
            continue
        packets += packet.size > 0
        damage.look_at(packet)
        arrivals.add(packet.pts)
        decoded = []
        try:
            with watch.measure("decoding"):
                decoded = packet.decode()
        except av.error.FFmpegError:
            if not packet.is_corrupt:
                damage.add()
        for frame in decoded:
            if not frames:
                first_stamp_s = frame.time
            frames += 1
            yield as_shown(frame, arrivals.pop(frame.pts)), clock(frame.time)
    if not frames:
        remedy = "it is damaged or truncated; copy it again"
        if container.format.name.startswith("mov") and not os.path.isfile(container.name):
            # Its index follows its frames, and a pipe or a server without ranges cannot seek back.
            remedy = f"{INDEX_FIRST}, or be saved to a local file"
        raise VideoError(f"no frame of '{name}' can be decoded: {remedy}")
    if warn:
        shortfall_text = shortfall(container, stream, packets, clock.next_s, first_stamp_s)
        if shortfall_text or damage.packets:
            logger.warning(
                "'%s' is incomplete: %s, %d could be decoded; copy or record it again",
                name,
                shortfall_text or f"damaged packets: {damage.packets}",
                frames,
            )


class AsShown:
    """Adds to each frame of a stream how it is shown; it must see all of them, in the order of decoding."""

    def __init__(self, stream: Stream, name: str, warn: bool = True) -> None:
        self._geometry = Geometry(stream, name, warn)
        self._converter = ToRGB(stream, name, warn)

    def __call__(self, frame: av.VideoFrame, captured_s: float = 0.0) -> Picture:
        return Picture(frame, *self._geometry.of(frame), self._converter, captured_s)


def describe(container: Container, stream: Stream, first: Picture, name: str) -> VideoInfo:
    """The :class:`VideoInfo` of an open stream whose first picture is known."""
    orientation = first.orientation
    width, height = square_width(first.frame.width, first.pixel_aspect), first.frame.height
    if orientation.quarter_turns % 2:
        width, height = height, width
    return VideoInfo(
        path=name,
        width=width,
        height=height,
        frame_rate=declared_frame_rate(stream),
        duration_s=declared_duration_s(container, stream),
        frames=stream.frames or None,
        rotation=round(90 * orientation.quarter_turns + orientation.tilt) % 360,
        codec=stream.codec_context.name,
        mirrored=orientation.mirrored,
        pixel_aspect=first.pixel_aspect,
    )


def measured(info: VideoInfo, timeline: Timeline) -> VideoInfo:
    """What was shown in place of what a video declares, except where only rounding lies between them."""
    rate, duration_s = timeline.frame_rate or info.frame_rate, timeline.duration_s or info.duration_s
    if rate and info.frame_rate and abs(rate - info.frame_rate) < 0.01 * rate:
        rate = info.frame_rate
    if info.duration_s and duration_s and rate and abs(duration_s - info.duration_s) < 2 / rate:
        duration_s = info.duration_s
    return replace(info, frames=timeline.frames, frame_rate=rate, duration_s=duration_s)


def _packets(container: Container, stream: Stream, name: str) -> Iterator[av.Packet | None]:
    """The packets of a stream; None stands for the place where the file itself breaks off."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed)
        except StopIteration:
            return
        except av.error.ExitError:  # the time-out of an address
            raise VideoError(f"'{name}' broke off: {silence(float(container.read_timeout or 0))}") from None
        except av.error.FFmpegError as error:
            # Where HTTP gives no length, FFmpeg calls the proper end of a connection an error of this kind.
            if error.errno != errno.EIO or container.size > 0:
                yield None
            end = av.Packet()  # an empty packet makes the decoder give out the frames that it still holds
            end.stream, end.time_base = stream, stream.time_base or end.time_base
            yield end
            return
        yield packet
