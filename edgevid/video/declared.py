"""What a container declares of its video, and whether it holds all of that."""

from __future__ import annotations

import contextlib

import av

MAX_FRAME_RATE = 240.0
"""A higher declared rate is the tick of a clock (browsers write 1,000), not a rate of frames."""

MIN_SHORTFALL_S = 0.5
"""A file that ends earlier than it declares by less than this is rounding, not a cut."""


def declared_frame_rate(stream: av.VideoStream) -> float | None:
    """Frames per second, an average where they vary; None for the tick of a clock."""
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and rate <= MAX_FRAME_RATE else None


def stream_duration_s(stream: av.VideoStream) -> float | None:
    """How long a stream says that it lasts, in seconds."""
    # Matroska's tag, 00:00:10.000000000; the other may be the length of the whole file there.
    with contextlib.suppress(KeyError, ValueError):
        hours, minutes, seconds = map(float, stream.metadata["DURATION"].split(":"))
        return 3600 * hours + 60 * minutes + seconds
    return float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None


def declared_duration_s(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """How long a file says that its pictures last, in seconds; None if it does not say."""
    duration_s = stream_duration_s(stream)
    # With several streams that of the container may be the length of the sound.
    if duration_s is None and container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return duration_s


def indexed_packets(stream: av.VideoStream) -> int | None:
    """The packets that a whole MP4 gives, by its index; None for other files, and for PyAV before 17.

    Its header counts more where an edit list leaves some out.
    """
    if _is_mp4(stream) and hasattr(stream, "index_entries"):
        return len(stream.index_entries) or None
    return None


def shortfall(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    packets: int,
    end_s: float,
    first_stamp_s: float | None,
) -> str | None:
    """What a file declares, in words, if it held less: ``packets``, and frames for ``end_s`` seconds."""
    declared_s = declared_duration_s(container, stream)
    if _is_mp4(stream) or stream.container.format.name.startswith("matroska"):
        end_s += max(0.0, first_stamp_s or 0.0)  # their durations are counted from 0
    indexed = indexed_packets(stream)
    if indexed is not None:
        return f"it declares {stream.frames or indexed} frames" if packets < indexed else None
    if stream.frames:
        # A trimmed file has fewer packets too, but its duration says so.
        tolerance_s = 2 / (declared_frame_rate(stream) or 25.0)
        trimmed = declared_s is not None and declared_s - end_s <= tolerance_s
        return f"it declares {stream.frames} frames" if packets < stream.frames and not trimmed else None
    if declared_s is not None and declared_s - end_s > MIN_SHORTFALL_S:
        return f"it declares {declared_s:.1f} s and ends after {end_s:.1f} s"
    return None


def _is_mp4(stream: av.VideoStream) -> bool:
    return stream.container.format.name.startswith("mov")
