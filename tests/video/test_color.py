"""Colors are those of the file, by its matrix, range, primaries and transfer, with any version of PyAV."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from edgevid.errors import VideoError
from edgevid.video.color import ToRGB
from edgevid.video.decode import read_frames

LIMITED, FULL = 1, 2
UNSPECIFIED = 2
BT709, BT2020, DISPLAY_P3 = 1, 9, 12
LINEAR, PQ, HLG = 8, 16, 18

# The luma weights of red and blue, from H.273: number in the file -> (K_R, K_B).
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    UNSPECIFIED: (0.299, 0.114),
}
COLORS = np.array([(200, 60, 40), (40, 180, 70), (60, 50, 210), (128, 128, 128), (250, 240, 20)])


def to_yuv(rgb: np.ndarray, matrix: int, color_range: int, bits: int = 8) -> np.ndarray:
    """Encode RGB signals, 0 to 255, by the equations of H.273."""
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = rgb.T / 255
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    chroma = (blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)
    scale = 2.0 ** (bits - 8)
    if color_range == FULL:
        planes = [luma * (256 * scale - 1)] + [c * (256 * scale - 1) + 128 * scale for c in chroma]
    else:
        planes = [(16 + 219 * luma) * scale] + [(128 + 224 * c) * scale for c in chroma]
    return np.round(planes)


def write_patches(path, planes, pix_fmt, codec="libx264", matrix=2, color_range=0, primaries=2, transfer=2):
    """Write, without loss, one frame with a patch of 16x16 pixels for each color of ``planes``."""
    dtype = np.uint16 if pix_fmt.endswith("le") else np.uint8
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options={"qp": "0"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = 16 * len(planes[0]), 16, pix_fmt
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, color_range
        context.color_primaries, context.color_trc = primaries, transfer
        frame = av.VideoFrame(stream.width, stream.height, pix_fmt)
        for plane, values in zip(frame.planes, planes):
            shrink = stream.width // plane.width
            row = np.asarray(values).astype(dtype).repeat(16 // shrink)
            padded = np.zeros(plane.line_size // row.itemsize, dtype)
            padded[: row.size] = row
            plane.update(np.tile(padded, plane.height).tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        frame.colorspace, frame.color_range = matrix, color_range
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def patches(path) -> np.ndarray:
    """The RGB color in the middle of each patch."""
    return next(read_frames(path)).image[8, 8::16].astype(int)


@pytest.mark.parametrize("color_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("pix_fmt,bits", [("yuv420p", 8), ("yuv444p", 8), ("yuv420p10le", 10)])
def test_matrix_and_range_are_those_of_the_file(tmp_path, pix_fmt, bits, matrix, color_range):
    planes = to_yuv(COLORS, matrix, color_range, bits)
    path = write_patches(tmp_path / "v.mp4", planes, pix_fmt, matrix=matrix, color_range=color_range)
    np.testing.assert_allclose(patches(path), COLORS, atol=4)


def test_another_matrix_or_range_would_be_found_out(tmp_path):
    planes = to_yuv(COLORS, BT709, LIMITED)
    for matrix, color_range in ((5, LIMITED), (BT709, FULL)):
        path = write_patches(tmp_path / "v.mp4", planes, "yuv444p", matrix=matrix, color_range=color_range)
        assert abs(patches(path) - COLORS).max() > 12


def test_what_is_not_specified_is_bt601_of_limited_range_as_in_ffmpeg(tmp_path):
    path = write_patches(tmp_path / "v.mkv", to_yuv(COLORS, 5, LIMITED), "yuv444p", codec="ffv1")
    np.testing.assert_allclose(patches(path), COLORS, atol=3)


def test_the_tag_of_a_matrix_does_not_matter_to_red_green_blue(tmp_path, caplog):
    red, green, blue = (np.round(c * 1023 / 255) for c in COLORS.T)
    for matrix in (0, BT709, 8):
        path = write_patches(
            tmp_path / "v.mkv",
            [green, blue, red],
            "gbrp10le",
            codec="ffv1",
            matrix=matrix,
            color_range=LIMITED,
        )
        np.testing.assert_allclose(patches(path), COLORS, atol=1)
    assert not caplog.records


@pytest.mark.parametrize("matrix", [0, 3, 99])
def test_a_matrix_that_does_not_exist_is_taken_as_not_specified(tmp_path, matrix):
    path = write_patches(tmp_path / "v.mkv", to_yuv(COLORS, 5, LIMITED), "yuv444p", codec="ffv1", matrix=3)
    data = path.read_bytes()
    stored = bytes([0x55, 0xB1, 0x81, 3])  # MatrixCoefficients of Matroska
    assert stored in data
    path.write_bytes(data.replace(stored, stored[:3] + bytes([matrix])))
    np.testing.assert_allclose(patches(path), COLORS, atol=3)


def test_a_matrix_that_cannot_be_converted_is_told_once(tmp_path, caplog):
    path = write_patches(tmp_path / "v.mkv", to_yuv(COLORS, 5, LIMITED), "yuv444p", codec="ffv1", matrix=8)
    _ = [frame.image for frame in read_frames(path)]
    assert [record.getMessage() for record in caplog.records] == [
        f"'{path}' has the color matrix YCgCo, read as BT.601: its colors are wrong, convert it to BT.709"
    ]


def test_a_pixel_format_that_cannot_be_converted_is_named(tmp_path):
    path = write_patches(tmp_path / "v.mp4", to_yuv(COLORS, 5, LIMITED), "yuv420p")
    try:
        frame = av.VideoFrame(64, 48, "gray32le")
    except ValueError:
        pytest.skip("this FFmpeg knows no such format")
    with av.open(str(path)) as container, pytest.raises(VideoError) as raised:
        ToRGB(container.streams.video[0], "v.mp4")(frame, 64)
    assert str(raised.value) == (
        "'v.mp4' has pixels of the format gray32le, which this PyAV cannot convert: convert it to H.264"
    )


def test_yuvj_is_of_full_range(tmp_path):
    path = write_patches(tmp_path / "v.mkv", to_yuv(COLORS, 5, FULL), "yuvj444p", codec="mjpeg")
    np.testing.assert_allclose(patches(path), COLORS, atol=12)  # JPEG loses some
    assert abs(patches(path)[3] - 128).max() <= 1


def test_alpha_is_left_out(tmp_path):
    planes = [*to_yuv(COLORS, BT709, LIMITED), np.zeros(len(COLORS))]
    path = write_patches(tmp_path / "v.mkv", planes, "yuva420p", codec="ffv1", matrix=BT709)
    np.testing.assert_allclose(patches(path), COLORS, atol=4)


@pytest.mark.parametrize("pix_fmt,scale", [("gray", 1), ("gray10le", 4)])
def test_gray_is_of_full_range_unless_the_file_says_limited(tmp_path, pix_fmt, scale):
    levels = np.array([16, 90, 235])
    path = write_patches(tmp_path / "full.mkv", [levels * scale], pix_fmt, codec="ffv1")
    np.testing.assert_allclose(patches(path)[:, 0], levels, atol=1)
    path = write_patches(
        tmp_path / "limited.mkv", [levels * scale], pix_fmt, codec="ffv1", color_range=LIMITED
    )
    np.testing.assert_allclose(patches(path)[:, 1], [0, (90 - 16) * 255 / 219, 255], atol=1)


# Linear light of BT.709 in other primaries, from BT.2087 and from the primaries of Display P3.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


@pytest.mark.parametrize("primaries,matrix", [(BT2020, TO_BT2020), (DISPLAY_P3, TO_P3)])
def test_wide_gamut_primaries_become_those_of_bt709(tmp_path, primaries, matrix):
    wide = 255 * ((COLORS / 255) ** 2.4 @ matrix.T) ** (1 / 2.4)
    assert abs(wide - COLORS).max() > 10  # what would be seen without
    planes = to_yuv(wide, BT709, LIMITED)
    path = write_patches(tmp_path / "v.mp4", planes, "yuv444p", matrix=BT709, primaries=primaries)
    np.testing.assert_allclose(patches(path), COLORS, atol=6)


def pq(nits: np.ndarray) -> np.ndarray:
    """SMPTE 2084, from light to signal."""
    power = (np.asarray(nits) / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hdr(path, signal: np.ndarray, transfer: int) -> np.ndarray:
    """What is shown of HDR signals, 0 to 1, in 10 bits as a phone or HDR10 has them."""
    planes = to_yuv(255 * signal, BT2020, LIMITED, bits=10)
    write_patches(path, planes, "yuv420p10le", matrix=BT2020, primaries=BT2020, transfer=transfer)
    return patches(path)


def test_pq_is_mapped_to_what_a_display_of_standard_range_shows(tmp_path):
    nits = np.array([0.0, 1.0, 10.0, 50.0, 203.0, 1000.0, 4000.0])
    image = hdr(tmp_path / "v.mp4", pq(nits)[:, None].repeat(3, 1), PQ)
    assert np.ptp(image, axis=1).max() <= 2  # gray stays gray
    gray = image[:, 1]
    # Below the knee of BT.2390 light is kept, with 203 nits as white; 1,000 nits and more are white.
    np.testing.assert_allclose(gray[1:4], 255 * (nits[1:4] / 203) ** (1 / 2.4), atol=4)
    assert gray[0] <= 1 and gray[5] >= 249 and gray[6] >= 249
    assert 210 < gray[4] < 250
    assert (np.diff(gray[:6]) > 5).all()


def test_hlg_is_mapped_to_what_a_display_of_standard_range_shows(tmp_path):
    signal = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    gray = hdr(tmp_path / "v.mp4", signal[:, None].repeat(3, 1), HLG)[:, 1]
    scene = np.array([0.25**2 / 3, 0.5**2 / 3])
    np.testing.assert_allclose(gray[1:3], 255 * (1000 * scene**1.2 / 203) ** (1 / 2.4), atol=4)
    assert gray[0] <= 1 and 210 < gray[3] < 250 and gray[4] >= 249


def test_hdr_keeps_its_hues(tmp_path):
    light = 50 * (COLORS / 255) ** 2.4  # nits of BT.709's primaries, all below the knee
    image = hdr(tmp_path / "v.mp4", pq(light @ TO_BT2020.T), PQ)
    np.testing.assert_allclose(image, 255 * (light / 203) ** (1 / 2.4), atol=6)


def test_linear_light_is_given_the_gamma_of_a_display(tmp_path):
    light = np.array([0.1, 0.5, 1.0])[:, None].repeat(3, 1)
    planes = [np.round(1023 * light[:, 0])] * 3
    path = write_patches(
        tmp_path / "v.mkv", planes, "gbrp10le", codec="ffv1", primaries=BT709, transfer=LINEAR
    )
    np.testing.assert_allclose(patches(path)[:, 0], 255 * light[:, 0] ** (1 / 2.4), atol=3)
