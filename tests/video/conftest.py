"""Small real videos, made with PyAV, each with one thing that goes wrong in the field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edgevid.video import pick
from edgevid.video.frame import Picture, to_rgb

MILLISECOND = Fraction(1, 1000)


def grey(level: int, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), level, dtype=np.uint8)


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Write a video whose frame i is plain grey of level 8 * i, or the images given."""

    def write(
        name: str = "video.mp4",
        frames: int = 24,
        width: int = 64,
        height: int = 48,
        fps: int = 12,
        images: Sequence[np.ndarray] | None = None,
        times_ms: Sequence[int] | None = None,
        codec: str = "libx264",
        keyframe_every: int = 12,
        options: dict[str, str] | None = None,
        faststart: bool = True,
    ) -> Path:
        images = images or [grey(8 * i % 256, width, height) for i in range(frames)]
        path = tmp_path / name
        # A file that is cut stays readable only if its index comes first.
        container_options = {"movflags": "faststart"} if faststart and name.endswith("mp4") else {}
        with av.open(str(path), "w", options=container_options) as out:
            stream = out.add_stream(codec, rate=fps, options=options or {})
            stream.width, stream.height = images[0].shape[1], images[0].shape[0]
            # 4:2:0 needs even sizes
            stream.pix_fmt = "yuv444p" if stream.width % 2 or stream.height % 2 else "yuv420p"
            stream.gop_size = keyframe_every
            stream.codec_context.time_base = MILLISECOND if times_ms else Fraction(1, fps)
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = times_ms[i] if times_ms else i
                frame.time_base = stream.codec_context.time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
        return path

    return write


@pytest.fixture
def turn() -> Callable[[Path, int], None]:
    """Write a rotation into an MP4 as a phone does, in the matrix of its track header."""

    def turn_file(path: Path, clockwise_degrees: int) -> None:
        one = 1 << 16
        a, b = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[clockwise_degrees]
        data = bytearray(path.read_bytes())
        matrix = data.index(b"tkhd") + 4 + 40
        struct.pack_into(">9i", data, matrix, a, b, 0, -b, a, 0, 0, 0, 1 << 30)
        path.write_bytes(data)

    return turn_file


@pytest.fixture
def trim() -> Callable[[Path, int, int], None]:
    """Let an MP4 begin at a frame and last some milliseconds by its edit list, as a phone trims a video."""

    def trim_file(path: Path, first_frame: int, duration_ms: int, fps: int = 12) -> None:
        data = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            ticks = int(first_frame / fps / container.streams.video[0].time_base)
        edit = data.index(b"elst") + 4 + 8  # its duration and its first media time
        (media_time,) = struct.unpack_from(">i", data, edit + 4)
        struct.pack_into(">Ii", data, edit, duration_ms, media_time + ticks)
        struct.pack_into(">I", data, data.index(b"mvhd") + 4 + 16, duration_ms)
        path.write_bytes(data)

    return trim_file


@pytest.fixture
def edit() -> Callable[[Path, Sequence[tuple[int, int]]], None]:
    """Give an MP4 the edit list of (milliseconds, first frame), in which -1 for a frame is a delay."""

    def edit_file(path: Path, edits: Sequence[tuple[int, int]], fps: int = 12) -> None:
        with av.open(str(path)) as container:
            frame_ticks = int(1 / fps / container.streams.video[0].time_base)
        data = path.read_bytes()
        (start,) = struct.unpack_from(">i", data, data.index(b"elst") + 4 + 12)
        entries = [(ms, start + first * frame_ticks if first >= 0 else -1) for ms, first in edits]
        body = struct.pack(">II", 0, len(entries)) + b"".join(
            struct.pack(">IiI", *e, 1 << 16) for e in entries
        )
        path.write_bytes(_with_box(data, (b"moov", b"trak", b"edts", b"elst"), body))

    return edit_file


def _with_box(data: bytes, names: Sequence[bytes], body: bytes) -> bytes:
    """An MP4 with another body in the box at a path of names; it must lie behind the pictures."""
    result, start = b"", 0
    while start < len(data):
        size, name = struct.unpack_from(">I4s", data, start)
        box = data[start : start + size]
        if name == names[0]:
            inner = _with_box(box[8:], names[1:], body) if names[1:] else body
            box = struct.pack(">I4s", 8 + len(inner), name) + inner
        result += box
        start += size
    return result


@pytest.fixture
def sound_file(tmp_path: Path) -> Path:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        frame.pts = 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def level(image: np.ndarray | Picture) -> int:
    """Which frame of :func:`write_video` this is."""
    if isinstance(image, Picture):
        image = to_rgb(image)
    return round(float(image.mean()) / 8)


@pytest.fixture
def which() -> Callable[[np.ndarray], int]:
    return level


@pytest.fixture
def decoded(monkeypatch) -> list:
    """The stamp of each frame that picking decodes after a seek, as it is decoded."""
    indices, from_here = [], pick._frames_from_here

    def counted(container, stream):
        for frame in from_here(container, stream):
            indices.append(frame.pts)
            yield frame

    monkeypatch.setattr(pick, "_frames_from_here", counted)
    return indices
