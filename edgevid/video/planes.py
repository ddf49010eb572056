"""From the planes of a decoded picture to the network's input, by the kernel ``kernels/preprocess``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np

from edgevid.kernels.common.build import library
from edgevid.kernels.preprocess.call import Layout, Plan, Preprocess, load
from edgevid.kernels.preprocess.filters import Filter, cubic, repeated, through, triangle
from edgevid.specs import Preprocessing
from edgevid.video.color import is_full_range
from edgevid.video.frame import Picture
from edgevid.video.geometry import Orientation, square_width
from edgevid.video.transforms import crop_window, resized_size

PIXEL_FORMATS = {
    "yuv420p": (Layout(), 1, 1),
    "yuvj420p": (Layout(), 1, 1),
    "yuv422p": (Layout(), 0, 1),
    "yuvj422p": (Layout(), 0, 1),
    "yuv444p": (Layout(), 0, 0),
    "yuvj444p": (Layout(), 0, 0),
    "nv12": (Layout(interleaved=True), 1, 1),
    "yuv420p10le": (Layout(bits=10), 1, 1),
    "yuv422p10le": (Layout(bits=10), 0, 1),
    "yuv444p10le": (Layout(bits=10), 0, 0),
    "p010le": (Layout(bits=10, interleaved=True, aligned_high=True), 1, 1),
}
"""What the kernel reads, by FFmpeg's names; how often rows and columns of chroma are halved."""

LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
"""Of red and of blue (ITU-T H.273), by FFmpeg's number of a matrix."""


class Conversion(Enum):
    """How FFmpeg brings chroma to the size of the picture, which depends on format and size."""

    REPEATED = "each sample for two columns, and for two rows if they are halved"
    HALF = "scaled to the rows and half the columns of the picture, then each for two columns"
    FULL = "scaled"


CUT_OFF = {
    (Conversion.REPEATED, False): (0.95, 1.45, 1.0),
    (Conversion.REPEATED, True): (0.45, 0.9, 0.5),
    (Conversion.HALF, False): (1.75, 1.1, 1.4),
    (Conversion.HALF, True): (0.1, -0.5, -0.3),
}
"""Levels that R, G and B lose on average as FFmpeg cuts off fractions, by conversion and full range."""


class PlanesPreprocessor:
    """Callable that does what ``Preprocess`` does, for the pictures that the kernel can read.

    The mean difference from RGB by FFmpeg that is resized by Pillow is less than one level of 255: RGB is
    neither clipped nor rounded before the resize, nor rounded after it.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._source: _Source | None = None
        self._plan: _Plan | None = None

    def __call__(self, picture: Picture, out: np.ndarray | None = None) -> np.ndarray | None:
        """Preprocess a picture; None if the kernel cannot read it, or there is no kernel.

        Returns float32 (3, crop, crop), written into ``out`` if given.
        """
        frame = picture.frame
        if frame.format.name not in PIXEL_FORMATS or picture.orientation.tilt:
            return None
        if picture.converter.table(frame) is not None:  # other primaries, or HDR
            return None
        kernel = _kernel()
        if kernel is None:
            return None
        source = _Source(
            frame.format.name,
            frame.width,
            frame.height,
            picture.pixel_aspect,
            picture.orientation,
            picture.converter.matrix(frame),
            is_full_range(frame),
            picture.converter.is_left_sited(),
        )
        if source != self._source:
            self._source, self._plan = source, _Plan(source, self._preprocessing)
        assert self._plan is not None  # made with the source
        if out is None:
            out = np.empty(self._plan.shape, np.float32)
        planes = frame.planes
        self._plan(kernel, [plane.buffer_ptr for plane in planes], [plane.line_size for plane in planes], out)
        return out


class _Source(NamedTuple):
    """What the kernel's arguments depend on."""

    pixel_format: str
    width: int
    height: int
    pixel_aspect: float
    orientation: Orientation
    matrix: int
    full_range: bool
    left_sited: bool

    @property
    def square_width(self) -> int:
        return square_width(self.width, self.pixel_aspect)

    @property
    def conversion(self) -> Conversion:
        scaled = self.width != self.square_width
        if self.pixel_format.endswith(("420p", "422p")) and not scaled and self.height % 2 == 0:
            return Conversion.REPEATED
        full = self.square_width % 2 == 1 or "444" in self.pixel_format
        return Conversion.FULL if full else Conversion.HALF


class _Plan:
    """The kernel's arguments for pictures of one kind, and the padding around the result."""

    def __init__(self, source: _Source, preprocessing: Preprocessing) -> None:
        turns, mirrored = source.orientation.quarter_turns, source.orientation.mirrored
        turned = turns % 2 == 1
        shown = source.square_width, source.height
        resized = resized_size(*(shown[::-1] if turned else shown), preprocessing.short_side)
        windows = [crop_window(length, preprocessing.crop) for length in resized]
        kept = [np.arange(begin, begin + length) for begin, length, _ in windows]
        if turned:  # from columns and rows of the result to those of the picture
            resized, kept = resized[::-1], kept[::-1]
        if mirrored != (turns in (1, 2)):
            kept[0] = resized[0] - 1 - kept[0]
        if turns in (2, 3):
            kept[1] = resized[1] - 1 - kept[1]
        columns, rows = map(triangle, shown, resized, kept)

        mean, std = np.asarray(preprocessing.mean), np.asarray(preprocessing.std)
        color = color_matrix(source.matrix, source.full_range)
        color[:, 3] -= CUT_OFF.get((source.conversion, source.full_range), (0, 0, 0))
        if preprocessing.color == "BGR":
            color = color[::-1]
        color = color / (255 * std[:, None])
        color[:, 3] -= mean / std
        black, white = -mean / std, (1 - mean) / std
        layout = PIXEL_FORMATS[source.pixel_format][0]
        filters = _of_rows(source, rows), _of_columns(source, columns)
        self._arguments = Plan(layout, *filters, color, black, white, turned)
        self._black = black[:, None, None]
        self.shape = (3, preprocessing.crop, preprocessing.crop)
        across, down = (slice(pad, pad + length) for _, length, pad in windows)
        self._window = (slice(None), down, across)

    def __call__(
        self, kernel: Callable[[Preprocess], None], addresses: list[int], strides: list[int], out: np.ndarray
    ) -> None:
        if self._arguments.shape != self.shape:
            out[:] = self._black
        kernel(self._arguments.bind(addresses, strides, out[self._window]))


def _of_rows(source: _Source, rows: Filter) -> tuple[Filter, Filter]:
    """The filters of luma and of chroma that do what ``rows`` does to a picture in RGB."""
    halved = PIXEL_FORMATS[source.pixel_format][1]
    if source.conversion is Conversion.REPEATED:
        return rows, through(rows, lambda row: repeated(row, halved))
    samples = -(-source.height >> halved)
    return rows, through(rows, lambda row: cubic(samples, source.height, row))


def _of_columns(source: _Source, columns: Filter) -> tuple[Filter, Filter]:
    halved, width = PIXEL_FORMATS[source.pixel_format][2], source.square_width
    samples = -(-source.width >> halved)
    luma = through(columns, lambda column: cubic(source.width, width, column))
    if source.conversion is Conversion.REPEATED:
        return luma, through(columns, lambda column: repeated(column, halved))
    shift = 0.25 if halved and source.left_sited else 0.0
    if source.conversion is Conversion.HALF:
        return luma, through(columns, lambda column: cubic(samples, width // 2, column >> 1, shift))
    return luma, through(columns, lambda column: cubic(samples, width, column, shift))


def color_matrix(matrix: int, full_range: bool) -> np.ndarray:
    """From (Y, U, V, 1), of 8 bits, to R, G and B from 0 to 255: shape (3, 4)."""
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0) if full_range else (255 / 219, 255 / 224, 16)
    of_v, of_u = 2 * (1 - red) * chroma, 2 * (1 - blue) * chroma
    to_rgb = np.array(
        [
            [luma, 0, of_v, 0],
            [luma, -of_u * blue / green, -of_v * red / green, 0],
            [luma, of_u, 0, 0],
        ]
    )
    to_rgb[:, 3] = -to_rgb[:, :3] @ (black, 128, 128)
    return to_rgb


@functools.cache
def _kernel() -> Callable[[Preprocess], None] | None:
    """The kernel, built at the first call; None, with a warning, where that is not possible."""
    path = library()
    return None if path is None else load(path)
