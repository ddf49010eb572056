"""Where a tensor of a clip holds its frames, and when a stream can know each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

FIRST = "first"
"""Stands for a past that repeats the first frame."""


class NotStreamableError(Exception):
    """The node cannot run frame by frame; the message says why, the layer being its subject."""


@dataclass(frozen=True)
class Timeline:
    """Axis ``axis`` is ``(outer, length, inner)``, of which ``length`` counts frames.

    Entry ``j`` is known as soon as frame ``j - lead`` is: padding in front makes ``lead`` positive, a look
    into the future negative. ``past`` is what the ``lead`` entries before frame 0 hold: an array in the
    shape of one frame (or that of a number), ``FIRST``, or None if it is not known.
    """

    axis: int
    length: int
    outer: int = 1
    inner: int = 1
    lead: int = 0
    past: np.ndarray | str | None = None

    def one_frame(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a single frame of a tensor whose clips have ``shape``."""
        return (*shape[: self.axis], self.outer * self.inner, *shape[self.axis + 1 :])

    def at(self, axis: int) -> Timeline:
        return replace(self, axis=axis)

    def padded(self, before: int, after: int, past: np.ndarray | str | None) -> Timeline:
        """With so many entries more in front and behind; fewer where negative."""
        if self.length + before + after < 1:
            raise NotStreamableError("leaves no frame")
        lead = self.lead + before
        if before > 0 and self.lead > 0 and not _equal(past, self.past):
            past = None
        elif before <= 0:
            past = self.past
        return replace(self, length=self.length + before + after, lead=lead, past=past if lead > 0 else None)

    def reshaped(self, old: Sequence[int], new: Sequence[int]) -> Timeline:
        """Where a reshape from ``old`` to ``new`` leaves the frames."""
        if tuple(old[: self.axis + 1]) == tuple(new[: self.axis + 1]):
            return self
        before = prod(old[: self.axis]) * self.outer
        for axis, size in enumerate(new):
            start = prod(new[:axis])
            outer = before // start if start else 0
            if outer and before % start == 0 and size and size % (outer * self.length) == 0:
                return replace(self, axis=axis, outer=outer, inner=size // (outer * self.length))
        raise NotStreamableError("divides the frames of a clip into groups")


def _equal(one: np.ndarray | str | None, other: np.ndarray | str | None) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool((one == other).all()) if np.broadcast(one, other).size else False
    return one is not None and one is other
