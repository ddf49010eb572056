"""How decoded pixels become a picture as it is shown: square pixels, mirrored and turned as the file says.

The rules are those of FFmpeg's own tools: the width is multiplied by the sample aspect ratio, then the
display matrix is applied.
"""

from __future__ import annotations

import logging
import math
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np

logger = logging.getLogger("edgevid")

MAX_ASPECT = 10.0
"""A pixel more elongated than this, either way, is damage and not a format."""

TOLERANCE_DEGREES = 1.0
"""FFmpeg takes a rotation this close to a quarter turn for one."""


class Orientation(NamedTuple):
    """Mirror left to right if ``mirrored``, then turn counterclockwise.

    The turn is ``quarter_turns`` times 90 degrees, or else ``tilt`` degrees.
    """

    quarter_turns: int = 0
    mirrored: bool = False
    tilt: float = 0.0


def orient(image: np.ndarray, how: Orientation) -> np.ndarray:
    """Mirror and turn an image (height, width, 3); corners that a tilt uncovers are black, as in FFmpeg."""
    if how.mirrored:
        image = image[:, ::-1]
    if how.quarter_turns:
        image = np.rot90(image, how.quarter_turns)
    if how.tilt:
        from PIL import Image

        tilted = Image.fromarray(np.ascontiguousarray(image)).rotate(how.tilt, Image.Resampling.BILINEAR)
        image = np.asarray(tilted)
    return np.ascontiguousarray(image)


class Geometry:
    """How each frame of a stream is shown; ask for every frame, in the order of decoding.

    The pixel aspect of the container counts. Where it says nothing, as in MPEG-TS, the codec's may change
    between groups of pictures, as broadcasts between 4:3 and 16:9 do. The display matrix is that of the
    stream, or of the codec's own message at a key frame, which holds until one with another rotation.
    """

    def __init__(self, stream: av.VideoStream, name: str, warn: bool = True) -> None:
        self._codec = stream.codec_context
        self._name = name
        self._warn = warn
        of_file, of_codec = stream.sample_aspect_ratio, self._codec.sample_aspect_ratio
        always_stored = stream.container.format.name.startswith("matroska")
        self._fixed = always_stored or bool(of_file and of_file != of_codec)
        self._aspect = self._believed(of_file)
        self._orientation = Orientation()
        self._rotation: int | None = None

    def of(self, frame: av.VideoFrame) -> tuple[float, Orientation]:
        """The width of a pixel over its height, and how the picture then stands."""
        # The codec's parameters may be those of a packet ahead, but not across two key frames.
        if frame.key_frame or self._rotation is None:
            if not self._fixed:
                self._aspect = self._believed(self._codec.sample_aspect_ratio)
            # PyAV keeps a frame whose side data was read until a full garbage collection: read few of them.
            if frame.rotation != self._rotation:
                self._rotation, self._orientation = frame.rotation, _orientation(frame)
        return self._aspect, self._orientation

    def _believed(self, ratio: Fraction | None) -> float:
        if not ratio or ratio < 0:
            return 1.0
        if 1 / MAX_ASPECT <= ratio <= MAX_ASPECT:
            return float(ratio)
        if self._warn:
            self._warn = False
            logger.warning(
                "'%s' says that its pixels have the aspect %s: that is damage, they are shown square",
                self._name,
                ratio,
            )
        return 1.0


def square_width(width: int, aspect: float) -> int:
    """Width in pixels of a frame whose pixels are made square; its height stays."""
    return max(1, round(width * aspect))


def _orientation(frame: av.VideoFrame) -> Orientation:
    try:
        display_matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV 18 fails on unknown side data, such as a JPEG's EXIF; then mirroring is lost.
        return Orientation(round(frame.rotation / 90) % 4)
    if display_matrix is None:
        return Orientation()
    matrix = np.frombuffer(bytes(display_matrix), dtype=np.int32)
    # A stored pixel (x, y) is shown at (a x + c y, b x + d y); y points down.
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation()
    mirrored = determinant < 0
    if mirrored:
        a, b = -a, -b
    # A scaling of the columns is already in the sample aspect ratio.
    degrees = -math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))) % 360
    quarter_turns = round(degrees / 90)
    tilt = degrees - 90 * quarter_turns
    if abs(tilt) <= TOLERANCE_DEGREES:
        return Orientation(quarter_turns % 4, mirrored)
    return Orientation(0, mirrored, degrees)
