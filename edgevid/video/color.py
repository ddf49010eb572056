"""From the pixel format, matrix, range, primaries and transfer of a decoded frame to BT.709 RGB.

Matrix and range are converted as FFmpeg's tools do with ``-pix_fmt rgb24``: a matrix that is not specified is
BT.601's at any size, a range that is not is limited for YUV and full for gray. Wide-gamut primaries (BT.2020,
P3) and the transfers of HDR are mapped to what a BT.709 display of standard range shows; FFmpeg leaves them.
BT.601's primaries, which are close to BT.709's, are left as they were when the networks were trained.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from edgevid.errors import VideoError

if TYPE_CHECKING:
    from PIL import ImageFilter

logger = logging.getLogger("edgevid")

# Codes of ITU-T H.273, which are also FFmpeg's and PyAV's numbers.
UNSPECIFIED = 2
FULL_RANGE, LIMITED_RANGE = 2, 1
BT601 = 5
BT709 = 1
SWSCALE_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""The matrices that FFmpeg's scaler knows, and its own number for each."""

LEFT_SITED = ("h264", "hevc", "mpeg2video", "mpeg4")
"""Codecs whose chroma lies at the left one of its two columns, unless a stream says otherwise."""

OTHER_MATRICES = {
    8: "YCgCo",
    11: "SMPTE 2085",
    14: "ICtCp",
    15: "IPT-C2 (Dolby Vision)",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
"""Matrices whose colors come out wrong; any other number is damage and taken as not specified."""

LINEAR, PQ, HLG = 8, 16, 18
DISPLAY_GAMMA = 2.4
"""BT.1886: how a display of standard range turns a signal into light."""

REFERENCE_WHITE_NITS = 203.0
"""BT.2408: white paper in an HDR picture, which becomes the white of the mapped one."""

PEAK_NITS = 1000.0
"""What HDR is mastered for; brighter highlights become white."""

GRID = 65
"""Points of the color table along each axis; the most that Pillow takes, for PQ is steep."""

# Chromaticities (x, y) of red, green and blue; the white point of all is D65 (DCI's theatres have their own).
PRIMARIES = {
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
WHITE = (0.3127, 0.3290)


class ToRGB:
    """Converts the frames of one stream to RGB uint8 (height, width, 3) in BT.709's colors."""

    def __init__(self, stream: av.VideoStream, name: str, warn: bool = True) -> None:
        self._codec = stream.codec_context
        self._name = name
        self._reformatter = VideoReformatter()
        self._warn = warn

    def __call__(self, frame: av.VideoFrame, width: int) -> np.ndarray:
        """Convert a frame and resize it to ``width`` pixels; its height stays."""
        pixel_format = frame.format
        matrix = self.matrix(frame)
        try:
            converted = self._reformatter.reformat(
                frame,
                width=width,
                format="rgb24",
                src_colorspace=matrix,
                # Of no matter to RGB output, but PyAV before 17 ignores the source's if both are the same.
                dst_colorspace=matrix if pixel_format.is_rgb else BT601 if matrix == BT709 else BT709,
                src_color_range=FULL_RANGE if is_full_range(frame) else LIMITED_RANGE,
                dst_color_range=FULL_RANGE,
                interpolation="BICUBIC",
            )
        except (av.error.FFmpegError, ValueError):
            raise VideoError(
                f"'{self._name}' has pixels of the format {pixel_format.name}, which this PyAV cannot "
                "convert: convert it to H.264"
            ) from None
        image = converted.to_ndarray()
        # FFmpeg's scaler takes all gray for full range.
        if _is_gray(frame) and frame.color_range == LIMITED_RANGE:
            image = _EXPANDED[image]
        table = self.table(frame)
        if table is None:
            return image
        from PIL import Image

        return np.asarray(Image.fromarray(image).filter(table))

    def table(self, frame: av.VideoFrame) -> ImageFilter.Color3DLUT | None:
        """What maps the frame's RGB to BT.709's; None where it stays as it is."""
        # PyAV before 15 has these of the codec only.
        primaries = getattr(frame, "color_primaries", UNSPECIFIED)
        transfer = getattr(frame, "color_trc", UNSPECIFIED)
        if primaries == UNSPECIFIED:
            primaries = self._codec.color_primaries
        if transfer == UNSPECIFIED:
            transfer = self._codec.color_trc
        return to_bt709(int(primaries), int(transfer))

    def is_left_sited(self) -> bool:
        """Whether FFmpeg takes a sample of chroma to lie at the left one of its columns, not between them."""
        return self._codec.name in LEFT_SITED

    def matrix(self, frame: av.VideoFrame) -> int:
        """FFmpeg's number of the frame's color matrix, a value of ``SWSCALE_MATRICES``."""
        matrix = int(frame.colorspace)
        if matrix in OTHER_MATRICES and not frame.format.is_rgb and self._warn:
            self._warn = False
            logger.warning(
                "'%s' has the color matrix %s, read as BT.601: its colors are wrong, convert it to BT.709",
                self._name,
                OTHER_MATRICES[matrix],
            )
        return SWSCALE_MATRICES.get(matrix, BT601)


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether black and white are the ends of the samples' range."""
    always = _is_gray(frame) or frame.format.is_rgb or frame.format.name.startswith("yuvj")
    return always or frame.color_range == FULL_RANGE


def _is_gray(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith(("gray", "ya"))


@lru_cache(maxsize=8)
def to_bt709(primaries: int, transfer: int) -> ImageFilter.Color3DLUT | None:
    """The table from RGB of some primaries and transfer to BT.709; None where nothing is to be mapped."""
    if primaries not in PRIMARIES:
        # HDR is of BT.2020's primaries unless it says otherwise.
        primaries = 9 if transfer in (PQ, HLG) and primaries in (0, UNSPECIFIED) else BT709
    if primaries == BT709 and transfer not in _TO_LIGHT:
        return None
    from PIL import ImageFilter

    axis = np.linspace(0.0, 1.0, GRID)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red varies fastest
    signal = np.stack([red, green, blue], axis=-1)
    light = _TO_LIGHT.get(transfer, lambda rgb: rgb**DISPLAY_GAMMA)(signal)
    light = light @ (np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(primaries)).T
    table = np.clip(light, 0.0, 1.0) ** (1 / DISPLAY_GAMMA)
    return ImageFilter.Color3DLUT(GRID, table.astype(np.float32).ravel())


def _pq_to_nits(signal: np.ndarray) -> np.ndarray:
    """SMPTE 2084."""
    power = signal ** (1 / 78.84375)
    return 1e4 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def _nits_to_pq(nits: np.ndarray) -> np.ndarray:
    power = (nits / 1e4) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg_to_nits(signal: np.ndarray) -> np.ndarray:
    """BT.2100: the light of the scene, then what a display of 1,000 nits makes of it."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return PEAK_NITS * scene * luminance[..., None] ** 0.2


def _tone_map(nits: np.ndarray) -> np.ndarray:
    """BT.2390's roll-off from 1,000 nits to reference white, by the brightest channel: the hue stays."""
    peak, target = (float(_nits_to_pq(np.array(n))) for n in (PEAK_NITS, REFERENCE_WHITE_NITS))
    brightest = np.maximum(nits.max(axis=-1, keepdims=True), 1e-6)
    x = np.minimum(_nits_to_pq(brightest) / peak, 1.0)
    most = target / peak
    knee = 1.5 * most - 0.5
    t = np.clip((x - knee) / (1 - knee), 0.0, 1.0)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    )
    mapped = _pq_to_nits(np.where(x > knee, bent, x) * peak)
    return nits * (mapped / brightest) / REFERENCE_WHITE_NITS


_TO_LIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    LINEAR: lambda rgb: rgb,
    PQ: lambda rgb: _tone_map(_pq_to_nits(rgb)),
    HLG: lambda rgb: _tone_map(_hlg_to_nits(rgb)),
}
"""From a signal to light in which 1 is the white of a display of standard range."""


def _to_xyz(primaries: int) -> np.ndarray:
    """The matrix from linear RGB to XYZ."""
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in (*PRIMARIES[primaries], WHITE)]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


_EXPANDED = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""From limited to full range."""
