"""Which frames of a video a network sees."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator

import numpy as np

from edgevid.video.frame import Frame
from edgevid.video.timestamps import MAX_GAP_S

logger = logging.getLogger("edgevid")

DENSE_WINDOW = 64
"""Consecutive frames that a dense clip spans (``dataset.py`` of the official TSM code)."""


_GAP = "the timestamps of '%s' jump by %.1f s after %.1f s: gaps of more than %g s are not filled"


def segment_indices(total_frames: int, frames: int) -> np.ndarray:
    """Take the center frame of each of ``frames`` equal segments.

    Test-time sampling of TSN (Wang et al., 2016) as in ``_get_test_indices`` of the official TSM code. A
    video with fewer frames than segments repeats them in order.

    Returns int64 indices of shape (frames,), from 0 and in order.
    """
    _check(total_frames, frames)
    tick = total_frames / frames
    return np.array([int(tick / 2.0 + tick * i) for i in range(frames)], dtype=np.int64)


def dense_indices(total_frames: int, frames: int, stride: int | None = None, clips: int = 1) -> np.ndarray:
    """Take ``frames`` frames, ``stride`` apart, from each of ``clips`` windows of consecutive frames.

    Test-time dense sampling of I3D and of the official TSM code, which takes 10 windows of 64 frames that
    start evenly from the first frame to the last possible one. A single window is the middle one. Indices
    wrap around in a video that is shorter than a window. ``stride`` defaults to 64 // ``frames``, at least 1;
    another one makes a window as long as its frames.

    Returns int64 indices of shape (clips, frames), from 0.
    """
    _check(total_frames, frames)
    window = max(DENSE_WINDOW, frames) if stride is None else frames * stride
    stride = max(1, DENSE_WINDOW // frames) if stride is None else stride
    last_start = max(0, total_frames - window)
    starts = np.linspace(0, last_start, num=clips, dtype=int) if clips > 1 else np.array([last_start // 2])
    return ((starts[:, None] + stride * np.arange(frames)) % total_frames).astype(np.int64)


def frames_at_rate(frames: Iterable[Frame], fps: float, name: str = "video") -> Iterator[Frame]:
    """Show a video at another rate: one frame for each tick of 1 / ``fps`` seconds.

    Each tick gets the nearest frame if one is within half a tick, else the last one shown: frames are
    dropped where the video is faster and repeated where it is slower, whatever its own rate does. At the
    video's own constant rate every frame is given once. The last frame lasts as long as the one before it.

    A gap of more than :data:`MAX_GAP_S` is not filled: the frame before it lasts as long as the one before
    that, the ticks go on at the frame after it, and one line about ``name`` is logged at the first gap.

    ``frames`` are in presentation order and are read one ahead. Each yielded frame has the time of its tick
    in seconds; a repeated picture is the same object.
    """
    tick = 0
    warned = False
    pending: Frame | None = None
    interval_s = 1.0 / fps
    for frame in frames:
        if pending is not None:
            step_s = frame.time_s - pending.time_s
            is_gap = step_s > MAX_GAP_S
            if not is_gap:
                interval_s = step_s
            next_s = pending.time_s + interval_s
            while tick / fps < next_s - _early_s(interval_s, fps):
                yield Frame(pending.picture, tick / fps)
                tick += 1
            if is_gap:
                tick = math.ceil((frame.time_s - _early_s(interval_s, fps)) * fps)
                if not warned:
                    logger.warning(_GAP, name, step_s, pending.time_s, MAX_GAP_S)
                    warned = True
        pending = frame
    if pending is None:
        return
    end_s = pending.time_s + interval_s - _early_s(interval_s, fps)
    while tick / fps < end_s or tick == 0:
        yield Frame(pending.picture, tick / fps)
        tick += 1


def frames_as_they_come(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Thin out a live source to at most ``fps`` frames per second; none is repeated or waited for.

    A source that is late, because the network took long, resumes with its next frame instead of catching up.
    """
    period_s = 1.0 / fps
    due_s = 0.0
    previous_s = 0.0
    for frame in frames:
        if frame.time_s + _early_s(frame.time_s - previous_s, fps) >= due_s:
            yield frame
            due_s = max(due_s + period_s, frame.time_s)
        previous_s = frame.time_s


def _early_s(interval_s: float, fps: float) -> float:
    """How long before its own time a frame may stand for a tick: half of the shorter period."""
    return min(interval_s, 1.0 / fps) / 2


def _check(total_frames: int, frames: int) -> None:
    if total_frames < 1 or frames < 1:
        raise ValueError(f"cannot take {frames} frames of a video of {total_frames}: both must be 1 or more")
