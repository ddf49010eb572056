"""One picture of a video, and when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgevid.video.geometry import Orientation, orient, square_width

if TYPE_CHECKING:
    import av
    import numpy as np

    from edgevid.video.color import ToRGB


class Picture(NamedTuple):
    """A decoded frame and how it is shown; nothing is converted before :func:`to_rgb` is called.

    ``captured_s``: when it was taken, or when it arrived here, in seconds of the monotonic clock.
    """

    frame: av.VideoFrame
    pixel_aspect: float
    orientation: Orientation
    converter: ToRGB
    captured_s: float = 0.0


class Frame(NamedTuple):
    """``picture``: the pixels as decoded; ``time_s``: seconds after the first frame."""

    picture: Picture
    time_s: float

    @property
    def image(self) -> np.ndarray:
        """RGB uint8 (height, width, 3), as shown; converted anew each time."""
        return to_rgb(self.picture)


def to_rgb(picture: Picture) -> np.ndarray:
    """Convert a picture to RGB uint8 (height, width, 3), upright and with square pixels."""
    width = square_width(picture.frame.width, picture.pixel_aspect)
    return orient(picture.converter(picture.frame, width), picture.orientation)
