"""Decoding gives upright RGB frames at their own times, and one clear line for what cannot be decoded."""

from __future__ import annotations

import gc
import logging
import os

import av
import numpy as np
import pytest

from edgevid.errors import VideoError
from edgevid.video.decode import decoded_frames, open_video, probe, read_frames


def quadrants(width: int = 64, height: int = 48) -> np.ndarray:
    """Red, green over blue, white: tells every rotation and mirror image apart."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


def test_a_file_is_described_by_what_it_declares(write_video):
    info = probe(write_video(frames=24, width=64, height=48, fps=12))
    assert (info.width, info.height, info.rotation) == (64, 48, 0)
    assert (info.frame_rate, info.frames, info.codec) == (12.0, 24, "h264")
    assert info.duration_s == pytest.approx(2.0)


def test_frames_come_in_order_with_their_times(write_video, which):
    frames = list(read_frames(write_video(frames=24, fps=12)))
    assert [which(f.image) for f in frames] == list(range(24))
    assert [f.time_s for f in frames] == pytest.approx([i / 12 for i in range(24)], abs=1e-3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.shape == (48, 64, 3)


def test_colors_are_red_green_blue(write_video):
    image = next(read_frames(write_video(images=[quadrants()]))).image
    assert abs(image.astype(int) - quadrants()).mean() < 12


def test_a_variable_frame_rate_keeps_the_time_of_each_frame(write_video):
    times_ms = [0, 40, 80, 500, 540, 1500]
    path = write_video(name="vfr.mp4", frames=6, times_ms=times_ms)
    assert [f.time_s for f in read_frames(path)] == pytest.approx([t / 1000 for t in times_ms], abs=1e-3)


def test_times_count_from_the_first_frame(write_video):
    path = write_video(name="late.mkv", frames=3, times_ms=[5000, 5100, 5200])
    assert [f.time_s for f in read_frames(path)] == pytest.approx([0.0, 0.1, 0.2], abs=2e-3)


@pytest.mark.parametrize("clockwise", [0, 90, 180, 270])
def test_the_rotation_that_a_phone_wrote_is_undone(write_video, turn, clockwise):
    path = write_video(images=[quadrants()] * 3)
    turn(path, clockwise)
    info, frames = probe(path), list(read_frames(path))
    upright = np.rot90(quadrants(), -clockwise // 90)
    assert info.rotation == (360 - clockwise) % 360
    assert (info.height, info.width) == upright.shape[:2]
    assert frames[0].image.shape == upright.shape
    assert abs(frames[0].image.astype(int) - upright).mean() < 12


def test_the_rotation_test_can_fail(write_video, turn):
    path = write_video(images=[quadrants()] * 3)
    turn(path, 90)
    image = next(read_frames(path)).image
    assert abs(image.astype(int) - np.rot90(quadrants(), 1)).mean() > 60


def test_odd_sizes_are_kept(write_video):
    path = write_video(width=321, height=241, frames=3)
    assert (probe(path).width, probe(path).height) == (321, 241)
    assert next(read_frames(path)).image.shape == (241, 321, 3)


@pytest.mark.parametrize("name,codec", [("v.avi", "mpeg4"), ("v.mkv", "libx264"), ("v.webm", "libvpx-vp9")])
def test_common_containers_and_codecs_are_read(write_video, which, name, codec):
    path = write_video(name=name, codec=codec, frames=10)
    assert [which(f.image) for f in read_frames(path)] == list(range(10))


@pytest.mark.parametrize("name", ["a: b.mp4", "ünï cødé.mp4", "100%.mp4", "-.mp4"])
def test_unusual_file_names_are_read(write_video, monkeypatch, name):
    path = write_video().rename(write_video().parent / name)
    monkeypatch.chdir(path.parent)
    assert probe(name).frames == 24


def test_one_frame_is_a_video(write_video):
    assert len(list(read_frames(write_video(frames=1)))) == 1


def noisy(frames: int) -> list[np.ndarray]:
    """Pictures that do not compress, so that each takes its share of the file."""
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (frames, 48, 64, 3), dtype=np.uint8))


def cut(path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv", "cut.avi"])
def test_a_cut_file_gives_what_is_there_and_one_warning(write_video, caplog, name):
    path = write_video(name=name, images=noisy(36))
    cut(path, 0.5)
    with caplog.at_level(logging.WARNING, "edgevid"):
        frames = list(read_frames(path))
    assert 10 < len(frames) < 25
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert "incomplete" in message and f"{len(frames)} could be decoded" in message and "\n" not in message


def test_a_whole_file_gives_no_warning(write_video, caplog):
    for name in ("a.mp4", "a.mkv", "a.avi"):
        list(read_frames(write_video(name=name)))
    assert not caplog.records


def test_damaged_packets_in_the_middle_are_stepped_over(write_video, caplog):
    path = write_video(name="damaged.mkv", codec="mpeg4", images=noisy(36))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    times = [f.time_s for f in read_frames(path)]
    assert len(times) > 18
    assert times == sorted(times)


def test_a_file_that_breaks_off_while_it_is_read_gives_the_frames_before_that(write_video, caplog):
    class BreaksOff:
        """A container whose file becomes unreadable after ten packets."""

        def __init__(self, container):
            self.container = container
            self.duration, self.streams = container.duration, container.streams

        def demux(self, stream):
            for i, packet in enumerate(self.container.demux(stream)):
                if i == 10:
                    raise av.error.InvalidDataError(1, "broken")
                yield packet

    with open_video(write_video(frames=24)) as (container, stream):
        frames = list(decoded_frames(BreaksOff(container), stream, "v"))
    assert len(frames) == 10
    assert "it declares 24 frames, 10 could be decoded" in caplog.text


def test_a_file_cut_before_its_first_picture_is_refused(write_video):
    path = write_video(images=noisy(12))
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(VideoError, match=r"no frame of .* can be decoded"):
        probe(path)


def test_sound_alone_is_refused(sound_file):
    with pytest.raises(VideoError, match="has sound but no pictures: name a file with a video stream"):
        probe(sound_file)


def test_what_is_not_a_video_is_refused_in_one_line(tmp_path):
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(bytes(range(256)) * 40)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    text = tmp_path / "notes.txt"
    text.write_text("not a video\n" * 100)
    for path, what in {
        garbage: "cannot be read as a video",
        empty: "is empty",
        pipe: "is not a regular file",
        text: "no pictures",
        tmp_path: "is a folder",
        tmp_path / "missing.mp4": "no video at",
    }.items():
        for read in (probe, lambda p: next(read_frames(p))):
            with pytest.raises(VideoError, match=what) as raised:
                read(path)
            assert "\n" not in str(raised.value)
            assert str(path) in str(raised.value)


def test_key_frames_are_not_kept(write_video):
    """A frame whose side data was read lived until a full garbage collection, which seldom comes."""
    path = write_video(frames=30, keyframe_every=1)

    def alive() -> int:
        return sum(type(item) is av.VideoFrame for item in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        assert sum(1 for _ in read_frames(path)) == 30
        assert alive() - before <= 2
    finally:
        gc.enable()
