"""Presentation times that can be relied on, from the stamps that a file happens to have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevid.video.frame import Frame

MAX_GAP_S = 10.0
"""A longer gap between two frames is a pause or a jump of the clock, not a frame that is shown for so long.

It is FFmpeg's own threshold of a discontinuity.
"""

MAX_DISORDER_S = 1.0
"""A stamp this much before the last one is disorder within a group of pictures; further back, a new start."""

USUAL_INTERVAL_S = 1 / 25

MAX_REORDERED = 256
"""Packets that a decoder may hold before it gives out their frames: threads and reordering, many times."""


def interval_of(declared_rate: float | None) -> float:
    """Seconds between frames at a rate in frames per second, or at the usual one if none is declared."""
    return 1 / declared_rate if declared_rate else USUAL_INTERVAL_S


class Clock:
    """Turns stamps, in order of presentation, into seconds after the first frame, which only go forward.

    A stamp that is missing, repeated or slightly too early is one interval after the last. Where stamps start
    anew, as in joined recordings, time goes on from there. A jump forward stays: it may be a pause.
    ``declared_rate`` gives the interval, in frames per second; without it that is the last one seen.
    """

    def __init__(self, declared_rate: float | None) -> None:
        self._interval_s = interval_of(declared_rate)
        self._measures_interval = not declared_rate
        self._offset_s: float | None = None
        self.last_s: float | None = None

    @property
    def next_s(self) -> float:
        """When a frame without a stamp is shown: at once, or an interval after the last."""
        return 0.0 if self.last_s is None else self.last_s + self._interval_s

    def __call__(self, stamp_s: float | None) -> float:
        if stamp_s is None:
            time_s = self.next_s
        elif self._offset_s is None:
            time_s = self.next_s
            self._offset_s = time_s - stamp_s
        else:
            time_s = stamp_s + self._offset_s
            step_s = time_s - (self.last_s or 0.0)
            if step_s <= 0:
                time_s = self.next_s
                if step_s < -MAX_DISORDER_S:
                    self._offset_s = time_s - stamp_s
            elif self._measures_interval and step_s <= MAX_GAP_S:
                self._interval_s = step_s
        self.last_s = time_s
        return time_s


class Arrivals:
    """When the packets of frames arrived, in seconds of the monotonic clock, by their presentation stamps."""

    def __init__(self) -> None:
        self._by_stamp: dict[int | None, float] = {}
        self._last_s = 0.0

    def add(self, stamp: int | None) -> None:
        self._last_s = time.monotonic()
        if len(self._by_stamp) >= MAX_REORDERED:  # of packets that could not be decoded
            self._by_stamp.clear()
        self._by_stamp[stamp] = self._last_s

    def pop(self, stamp: int | None) -> float:
        """When the packet with a stamp arrived; the last packet, if none has it."""
        return self._by_stamp.pop(stamp, self._last_s)


class Timeline:
    """What was shown, counted as it goes by: frames, how long they last, and their rate."""

    def __init__(self) -> None:
        self.frames = 0
        self._last_s = 0.0
        self._steps = 0
        self._steps_s = 0.0  # gaps left out

    def add(self, time_s: float) -> None:
        """Count a frame that is shown at ``time_s``."""
        step_s = time_s - self._last_s
        if self.frames and step_s <= MAX_GAP_S:
            self._steps += 1
            self._steps_s += step_s
        self.frames += 1
        self._last_s = time_s

    def counting(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames through and count them."""
        for frame in frames:
            self.add(frame.time_s)
            yield frame

    @property
    def frame_rate(self) -> float | None:
        """Frames per second where they follow each other; None for a single frame."""
        return self._steps / self._steps_s if self._steps_s else None

    @property
    def duration_s(self) -> float | None:
        """From the first frame to the end of the last; None if it is not known how long a frame lasts."""
        return self._last_s + 1 / self.frame_rate if self.frame_rate else None
