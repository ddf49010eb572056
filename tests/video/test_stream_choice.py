"""Of several video streams the default or best one is shown; a cover or a preview never is."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition

from edgevid.errors import VideoError
from edgevid.video.decode import probe, read_frames

pytestmark = pytest.mark.skipif(int(av.__version__.split(".")[0]) < 18, reason="PyAV writes no dispositions")

NONE, DEFAULT = Disposition(0), Disposition.default


def write_streams(path, *streams):
    """Write a video with streams of (width, frames, disposition); frame i is gray of level 8 * i."""
    with av.open(str(path), "w") as out:
        made = []
        for width, _, disposition in streams:
            stream = out.add_stream("libx264", rate=12, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = width, 3 * width // 4, "yuv420p"
            stream.disposition = disposition
            stream.codec_context.time_base = Fraction(1, 12)
            made.append(stream)
        for stream, (width, frames, _) in zip(made, streams):
            for i in range(frames):
                image = np.full((3 * width // 4, width, 3), 8 * i, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 12)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
@pytest.mark.parametrize(
    "preview,video",
    [
        ((32, 1, NONE), (64, 24, DEFAULT)),
        ((32, 1, DEFAULT), (64, 24, DEFAULT)),
        ((32, 1, DEFAULT), (64, 24, NONE)),
        ((128, 1, DEFAULT), (64, 24, NONE)),  # a cover larger than the video
    ],
    ids=str,
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_preview_is_not_taken_for_the_video(tmp_path, which, name, preview, video, order):
    path = write_streams(tmp_path / name, *(preview, video)[::order])
    info = probe(path)
    assert (info.width, info.height) == (64, 48)
    assert [which(frame.image) for frame in read_frames(path)] == list(range(24))


def test_a_cover_is_not_taken_for_the_video(tmp_path):
    path = write_streams(tmp_path / "v.mkv", (128, 1, Disposition.attached_pic), (64, 24, NONE))
    assert probe(path).width == 64


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_the_default_stream_is_taken_before_a_larger_one(tmp_path, name):
    path = write_streams(tmp_path / name, (96, 12, NONE), (64, 12, DEFAULT))
    assert probe(path).width == 64


def test_the_first_of_equal_streams_is_taken(tmp_path):
    path = write_streams(tmp_path / "v.mkv", (64, 12, DEFAULT), (64, 12, DEFAULT))
    with av.open(str(path)) as container:
        assert container.streams.best("video").index == 0
    assert len(list(read_frames(path))) == 12


def test_a_video_of_one_frame_alone_is_still_a_video(tmp_path):
    assert len(list(read_frames(write_streams(tmp_path / "v.mp4", (64, 1, NONE))))) == 1


def test_a_cover_alone_is_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=16000)
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
        picture = av.VideoFrame(64, 48, "yuvj420p")
        picture.pts, picture.time_base = 0, Fraction(1)
        out.mux(cover.encode(picture))
        out.mux(cover.encode())
    with pytest.raises(VideoError, match="has sound but no pictures"):
        probe(path)
