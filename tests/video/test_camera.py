"""A camera gives frames like a file does; one that cannot be used is named, with those that exist."""

from __future__ import annotations

import time

import av
import numpy as np
import pytest

from edgevid.errors import VideoError
from edgevid.video import camera, reader


def test_cameras_are_named_as_each_system_names_them(monkeypatch):
    monkeypatch.setattr(camera.sys, "platform", "linux")
    assert camera.device(2) == ("/dev/video2", "v4l2")
    monkeypatch.setattr(camera.sys, "platform", "darwin")
    assert camera.device(1) == ("1", "avfoundation")
    monkeypatch.setattr(camera.sys, "platform", "win32")
    monkeypatch.setattr(camera, "list_cameras", lambda: ["Integrated Camera"])
    assert camera.device(0) == ("video=Integrated Camera", "dshow")


@pytest.mark.parametrize(
    "cameras,there",
    [
        ([], "no camera was found"),
        (["/dev/video0", "/dev/video2"], "available cameras: /dev/video0, /dev/video2;"),
    ],
)
def test_a_missing_camera_is_named_with_those_that_exist(monkeypatch, cameras, there):
    monkeypatch.setattr(camera, "device", lambda number: (f"/dev/video{number}", "v4l2"))
    monkeypatch.setattr(camera, "list_cameras", lambda: cameras)
    with pytest.raises(VideoError) as raised, camera.open_camera(57):
        pass
    message = str(raised.value)
    assert message.startswith("camera 57 ('/dev/video57') cannot be opened")
    assert there in message and message.endswith("use --video FILE")


def test_a_camera_without_permission_says_which_group_helps(monkeypatch):
    def refuse(*_, **__):
        raise av.error.PermissionError(13, "Permission denied")

    monkeypatch.setattr(camera.av, "open", refuse)
    with pytest.raises(VideoError, match="often 'video'"), camera.open_camera(0):
        pass


def test_the_frames_of_a_camera_are_those_it_shows(monkeypatch, write_video, which):
    path = write_video(frames=6)
    monkeypatch.setattr(camera, "device", lambda number: (str(path), None))
    with camera.open_camera(0) as (info, frames):
        assert (info.width, info.height) == (64, 48)
        images = list(frames)
    assert [which(f.image) for f in images] == list(range(6))
    assert np.diff([f.time_s for f in images]) == pytest.approx(1 / 12, abs=1e-3)


def scripted(monkeypatch, write_video, frames: int = 6):
    """A camera whose frames all come at once."""
    path = write_video(frames=frames, fps=12)
    monkeypatch.setattr(camera, "device", lambda number: (str(path), None))
    return camera.open_camera(0)


def test_a_network_that_does_not_keep_up_sees_the_newest_frame(monkeypatch, write_video, which):
    with scripted(monkeypatch, write_video) as (_, frames):
        seen = [which(next(frames).image)]
        time.sleep(0.2)  # more than 1/12 s
        seen += [which(frame.image) for frame in frames]
    assert seen == [0, 5]
    assert frames.drops == 4


def test_a_network_that_keeps_up_sees_every_frame_of_a_burst(monkeypatch, write_video, which):
    with scripted(monkeypatch, write_video) as (_, frames):
        time.sleep(0.05)
        seen = []
        for frame in frames:
            seen.append(which(frame.image))
            time.sleep(0.001)
    assert (seen, frames.drops) == (list(range(6)), 0)


@pytest.mark.parametrize("age_s,clock", [(0.25, "capture"), (1e6, "arrival"), (-50.0, "arrival")])
def test_a_frame_is_as_old_as_its_driver_says_if_its_clock_is_ours(monkeypatch, write_video, age_s, clock):
    begin_s = time.monotonic()
    stamp_s = begin_s - age_s
    times_ms = [round(1e3 * (stamp_s + i / 10)) for i in range(3)] if age_s < 1e5 else [0, 100, 200]
    path = write_video(name="stamped.mkv", frames=3, times_ms=times_ms)
    monkeypatch.setattr(camera, "device", lambda number: (str(path), None))
    monkeypatch.setattr(reader, "MAX_CAPTURE_S", 60.0)
    with camera.open_camera(0) as (_, frames):
        first = next(frames)
        if clock == "capture":
            assert first.picture.captured_s == pytest.approx(stamp_s, abs=2e-3)
        else:
            assert begin_s <= first.picture.captured_s <= time.monotonic()
        assert frames.clock == clock
