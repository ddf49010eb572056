"""From the logits of each frame to events: smooth, wait until sure, and end only when clearly over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevid.video.predictions import softmax


@dataclass(frozen=True)
class Settings:
    """``newest``: weight of the newest frame in the moving average of probabilities.

    An activity starts when its average was at least ``start_at`` for ``for_frames`` frames in a row, and ends
    when it falls below ``end_at``: the gap between the two is the hysteresis. ``idle`` is no activity.
    """

    newest: float = 0.3
    start_at: float = 0.6
    end_at: float = 0.3
    for_frames: int = 2
    idle: str = "idle"

    def __post_init__(self) -> None:
        if not (0 < self.newest <= 1 and 0 <= self.end_at < self.start_at <= 1 and self.for_frames >= 1):
            raise ValueError(
                f"{self}: newest must be above 0 and at most 1, end_at below start_at, for_frames 1 or more"
            )


@dataclass
class Event:
    """An activity from the frame in which it was raised; ``last`` is None while it goes on."""

    activity: str
    raised: int
    probability: float
    last: int | None = None


class Detector:
    """Takes the logits of frame after frame.

    ``average`` has the smoothed probabilities ``(classes,)``, None before the first frame; ``event`` is the
    activity that goes on, if any.
    """

    def __init__(self, classes: Sequence[str], settings: Settings) -> None:
        self.classes, self.settings = classes, settings
        self.average: np.ndarray | None = None
        self.event: Event | None = None
        self._frame = -1
        self._candidate, self._count = -1, 0

    def update(self, logits: np.ndarray) -> list[tuple[str, Event]]:
        """What the frame brings: ``("start", event)`` and ``("end", event)``, mostly nothing."""
        self._frame += 1
        probabilities, rules = softmax(logits), self.settings
        if self.average is None:
            self.average = probabilities
        self.average = self.average + rules.newest * (probabilities - self.average)
        changes: list[tuple[str, Event]] = []
        if self.event and self.average[self.classes.index(self.event.activity)] < rules.end_at:
            changes += self.finish()
        best = int(self.average.argmax())
        is_sure = self.average[best] >= rules.start_at and self.classes[best] != rules.idle
        self._count = self._count * (best == self._candidate) + 1 if is_sure else 0
        self._candidate = best
        if self.event is None and self._count >= rules.for_frames:
            self.event = Event(self.classes[best], self._frame, float(self.average[best]))
            changes.append(("start", self.event))
        return changes

    def finish(self) -> list[tuple[str, Event]]:
        """End what goes on, at the end of the video too."""
        event, self.event = self.event, None
        if event is None:
            return []
        event.last = self._frame
        return [("end", event)]
