"""A camera gives frames like a file does; one that cannot be used is named, with those that exist."""

from __future__ import annotations

import av
import numpy as np
import pytest

from edgevid.errors import VideoError
from edgevid.video import camera


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
