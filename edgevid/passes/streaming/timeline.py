"""The time axis of a tensor of a clip, and when its entries become known in a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

FIRST = "first"
"""A past that repeats the first frame."""


class NotStreamableError(Exception):
    """The node cannot run frame by frame; the message is a predicate whose subject is the layer."""


@dataclass(frozen=True)
class Timeline:
    """Axis ``axis`` is ``(outer, length, inner)``, of which ``length`` counts frames.

    Entry ``j`` is known once frame ``j - lead`` has arrived: padding in front makes ``lead`` positive,
    reading future frames makes it negative. ``past`` is the content of the ``lead`` entries before frame 0:
    an array in the shape of one frame (or a scalar), ``FIRST``, or None if it is unknown.
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
        """Add ``before`` entries in front and ``after`` behind; negative counts remove entries."""
        if self.length + before + after < 1:
            raise NotStreamableError("removes all frames")
        lead = self.lead + before
        if before > 0 and self.lead > 0 and not _equal(past, self.past):
            past = None
        elif before <= 0:
            past = self.past
        return replace(self, length=self.length + before + after, lead=lead, past=past if lead > 0 else None)

    def reshaped(self, old_shape: Sequence[int], new_shape: Sequence[int]) -> Timeline:
        """The timeline after a reshape from ``old_shape`` to ``new_shape``."""
        if tuple(old_shape[: self.axis + 1]) == tuple(new_shape[: self.axis + 1]):
            return self
        before = prod(old_shape[: self.axis]) * self.outer
        for axis, size in enumerate(new_shape):
            start = prod(new_shape[:axis])
            outer = before // start if start else 0
            if outer and before % start == 0 and size and size % (outer * self.length) == 0:
                return replace(self, axis=axis, outer=outer, inner=size // (outer * self.length))
        raise NotStreamableError("divides the frames of a clip into groups")


def _equal(first: np.ndarray | str | None, second: np.ndarray | str | None) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return bool((first == second).all()) if np.broadcast(first, second).size else False
    return first is not None and first is second
