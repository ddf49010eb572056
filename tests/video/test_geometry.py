"""Pictures have square pixels and stand as the file says: what FFmpeg's own tools show."""

from __future__ import annotations

import io
import math
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from edgevid.video.decode import probe, read_frames

QUARTERS = np.array([[(220, 30, 30), (30, 200, 30)], [(30, 30, 220), (230, 230, 230)]], np.uint8)
PICTURE = QUARTERS.repeat(24, 0).repeat(32, 1)  # red, green over blue, white: 48 high, 64 wide


def set_matrix(path, a: float, b: float, c: float, d: float) -> None:
    """Write the display matrix of an MP4's track: a pixel (x, y) is shown at (a x + c y, b x + d y)."""
    one = 1 << 16
    values = (round(a * one), round(b * one), 0, round(c * one), round(d * one), 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 4 + 40, *values)
    path.write_bytes(data)


# What `ffmpeg -i FILE -pix_fmt rgb24` (5.1) gives for each matrix, as NumPy says it.
AS_FFMPEG_SHOWS = {
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, 1, 1, 0): lambda p: p.transpose(1, 0, 2),
    (0, 1, -1, 0): lambda p: p.transpose(1, 0, 2)[:, ::-1],
    (0, -1, 1, 0): lambda p: p.transpose(1, 0, 2)[::-1],
    (0, -1, -1, 0): lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
}


@pytest.mark.parametrize("matrix", AS_FFMPEG_SHOWS, ids=str)
def test_all_eight_mirrored_and_turned_pictures_are_shown_upright(write_video, matrix):
    path = write_video(images=[PICTURE] * 2)
    set_matrix(path, *matrix)
    image = next(read_frames(path)).image
    info = probe(path)
    assert abs(image.astype(int) - AS_FFMPEG_SHOWS[matrix](PICTURE)).mean() < 12
    assert (info.height, info.width) == image.shape[:2]
    stored = np.rot90(image, -info.rotation // 90)
    assert abs((stored[:, ::-1] if info.mirrored else stored).astype(int) - PICTURE).mean() < 12


def test_every_orientation_differs_from_every_other():
    images = [show(PICTURE) for show in AS_FFMPEG_SHOWS.values()]
    for i, first in enumerate(images):
        for second in images[:i]:
            assert first.shape != second.shape or abs(first.astype(int) - second).mean() > 60


def test_a_tilted_picture_is_turned_about_its_center_as_ffmpeg_does(write_video):
    y, x = np.mgrid[:96, :96]
    spot = np.where((x - 78) ** 2 + (y - 48) ** 2 <= 100, 255, 0).astype(
        np.uint8
    )  # to the right of the center
    path = write_video(images=[spot[..., None].repeat(3, 2)] * 2)
    clockwise = math.radians(30)
    cos, sin = math.cos(clockwise), math.sin(clockwise)
    set_matrix(path, cos, sin, -sin, cos)
    bright = next(read_frames(path)).image[..., 0] > 128
    row, column = (axis.mean() for axis in np.nonzero(bright))
    assert (column, row) == pytest.approx((48 + 30 * cos, 48 + 30 * sin), abs=1.5)
    assert probe(path).rotation == 330


def test_a_matrix_within_a_degree_of_a_quarter_turn_is_one(write_video):
    path = write_video(images=[PICTURE] * 2)
    cos, sin = math.cos(math.radians(89.5)), math.sin(math.radians(89.5))
    set_matrix(path, cos, sin, -sin, cos)
    assert abs(next(read_frames(path)).image.astype(int) - np.rot90(PICTURE, -1)).mean() < 12


def test_a_matrix_of_zeros_is_none(write_video):
    path = write_video(images=[PICTURE] * 2)
    set_matrix(path, 0, 0, 0, 0)
    assert abs(next(read_frames(path)).image.astype(int) - PICTURE).mean() < 12


def disc(width: int, height: int, aspect: float) -> np.ndarray:
    """What is stored of a disc that is round on a screen."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - width / 2 + 0.5) * aspect) ** 2 + (y - height / 2 + 0.5) ** 2 <= (height / 3) ** 2
    return np.where(inside[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)


def roundness(image: np.ndarray) -> float:
    bright = image[..., 1] > 128
    return float(np.ptp(np.flatnonzero(bright.any(0))) + 1) / float(np.ptp(np.flatnonzero(bright.any(1))) + 1)


def write_anamorphic(path, segments, codec="libx264", options=None) -> None:
    """Write 8 frames for each aspect of ``segments``; each begins a new sequence of the codec."""
    with av.open(str(path), "w") as out:
        stream = None
        for number, aspect in enumerate(segments):
            image = disc(96, 80, float(aspect))
            encoder = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = 96, 80, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            encoder.sample_aspect_ratio = aspect
            encoder.options = options or {}
            if stream is None:
                stream = out.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
                stream.codec_context.sample_aspect_ratio = aspect
            packets = []
            for i in range(8):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                packets += encoder.encode(frame)
            packets += encoder.encode()
            for packet in packets:
                packet.pts += 8 * number
                packet.dts += 8 * number
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                out.mux(packet)


@pytest.mark.parametrize(
    "aspect", [Fraction(64, 45), Fraction(16, 15), Fraction(8, 9), Fraction(4, 3), Fraction(1)]
)
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_pixels_are_made_square(tmp_path, name, aspect):
    path = tmp_path / name
    write_anamorphic(path, [aspect])
    info = probe(path)
    frames = list(read_frames(path))
    assert len(frames) == 8
    for frame in frames:
        assert frame.image.shape == (80, round(96 * aspect), 3)
        assert roundness(frame.image) == pytest.approx(1.0, abs=0.04)
    assert (info.width, info.height) == (round(96 * aspect), 80)
    assert info.pixel_aspect == pytest.approx(float(aspect))


def test_the_disc_is_not_round_as_it_is_stored():
    assert roundness(disc(96, 80, 64 / 45)) == pytest.approx(45 / 64, abs=0.04)


def test_the_aspect_of_the_container_outranks_the_codecs(tmp_path):
    path = tmp_path / "v.mp4"
    write_anamorphic(path, [Fraction(64, 45)])
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"pasp") + 4, 16, 15)
    path.write_bytes(data)
    assert probe(path).pixel_aspect == pytest.approx(16 / 15)
    assert {frame.image.shape[1] for frame in read_frames(path)} == {round(96 * 16 / 15)}


@pytest.mark.parametrize("codec,options", [("mpeg2video", {}), ("libx264", {"x264-params": "bframes=2"})])
def test_a_broadcast_that_changes_its_aspect_is_followed(tmp_path, codec, options):
    path = tmp_path / "change.ts"
    write_anamorphic(path, [Fraction(10, 9), Fraction(40, 27)], codec, options)
    frames = list(read_frames(path))
    widths = [frame.image.shape[1] for frame in frames]
    # FFmpeg 7 loses the last picture before MPEG-2's change.
    assert widths in ([107] * 8 + [142] * 8, [107] * 7 + [142] * 8)
    assert all(roundness(frame.image) == pytest.approx(1.0, abs=0.04) for frame in frames)


def test_pixels_are_made_square_before_they_are_turned(tmp_path):
    path = tmp_path / "v.mp4"
    write_anamorphic(path, [Fraction(64, 45)])
    set_matrix(path, 0, 1, -1, 0)
    image = next(read_frames(path)).image
    assert image.shape == (round(96 * 64 / 45), 80, 3)
    assert roundness(image) == pytest.approx(1.0, abs=0.04)


def test_an_absurd_aspect_is_told_once_and_not_believed(tmp_path, caplog):
    path = tmp_path / "v.mp4"
    write_anamorphic(path, [Fraction(64, 45)])
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, data.index(b"pasp") + 4, 60000, 1)
    path.write_bytes(data)
    assert probe(path).width == 96
    assert next(read_frames(path)).image.shape == (80, 96, 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"'{path}' says that its pixels have the aspect 60000: that is damage, they are shown square"
    ]


def test_the_orientation_that_a_codec_says_holds_until_its_next_key_frame(tmp_path):
    path = tmp_path / "sei.h264"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "bframes=0"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 3
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(PICTURE, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    path.write_bytes(insert_orientation(path.read_bytes()))
    images = [frame.image for frame in read_frames(path)]
    assert [image.shape for image in images] == [(64, 48, 3)] * 3 + [(48, 64, 3)] * 3
    expected = np.rot90(PICTURE[:, ::-1])
    assert all(abs(image.astype(int) - expected).mean() < 12 for image in images[:3])


def insert_orientation(stream: bytes) -> bytes:
    """Put a display orientation SEI (mirrored, then a quarter turn) before the first picture of H.264."""
    # not cancelled, flip left to right, not upside down, 0x4000 / 2**16 of a turn, persistent, no extension
    bits = "0" + "1" + "0" + f"{0x4000:016b}" + "010" + "0"
    bits += "1"
    payload = int(bits.ljust(24, "0"), 2).to_bytes(3, "big")
    sei = b"\0\0\0\1\x06" + bytes([47, len(payload)]) + payload + b"\x80"
    first_picture = stream.index(b"\0\0\1\x65")
    return stream[:first_picture] + sei + stream[first_picture:]


@pytest.mark.parametrize("orientation,turns", [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_the_orientation_beside_a_jpeg_is_followed(tmp_path, orientation, turns):
    """Also by PyAV 18, which fails at the side data of EXIF."""
    exif = Image.Exif()
    exif[0x112] = orientation
    jpeg = io.BytesIO()
    Image.fromarray(PICTURE).save(jpeg, "JPEG", exif=exif, quality=95)
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i in range(2):
            packet = av.Packet(jpeg.getvalue())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 5), stream, True
            out.mux(packet)
    for frame in read_frames(path):
        assert abs(frame.image.astype(int) - np.rot90(PICTURE, turns)).mean() < 12
