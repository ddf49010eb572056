"""Which of a container's streams is the video: its default or best one, never a cover or a preview."""

from __future__ import annotations

import av
from av.stream import Disposition

from edgevid.errors import VideoError
from edgevid.video.declared import stream_duration_s

STILLS = Disposition.attached_pic | Disposition.timed_thumbnails

MAX_PREVIEW_SHARE = 0.1
"""A stream that lasts for less of the longest one's time is its preview, whatever its flags say."""


def choose_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Choose the stream that FFmpeg's players do: default first, moving before still, then by bit rate.

    Covers and thumbnails are skipped, even unflagged ones (one frame, or a very short duration). Raises
    ``VideoError`` if there is no video stream, or none that this FFmpeg can decode.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & STILLS]
    # FFmpeg can draw any text file as a terminal; that is never what was meant.
    if not streams or container.format.name == "tty":
        what = "sound but no pictures" if container.streams.audio else "no pictures"
        raise VideoError(f"'{name}' has {what}: name a file with a video stream")
    streams = [stream for stream in streams if stream.codec_context is not None]
    if not streams:
        raise VideoError(f"'{name}' has a codec that this PyAV cannot decode: convert it, say to H.264")
    moving = [stream for stream in streams if not _is_preview(stream, streams)]
    best = container.streams.best("video")
    if best in moving:
        return best
    # Ties go to the first.
    return max(
        moving or streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height)
    )


def _is_preview(stream: av.VideoStream, streams: list[av.VideoStream]) -> bool:
    if stream.frames == 1 and any(other.frames != 1 for other in streams):
        return True
    longest_s = max((stream_duration_s(other) or 0.0 for other in streams), default=0.0)
    duration_s = stream_duration_s(stream)
    return duration_s is not None and duration_s < MAX_PREVIEW_SHARE * longest_s
