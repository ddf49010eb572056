"""A camera as a source of frames: v4l2 on Linux, avfoundation on macOS, dshow on Windows."""

from __future__ import annotations

import contextlib
import errno
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import av

from edgevid.errors import VideoError
from edgevid.video.decode import Container, Stream, VideoInfo, video_stream
from edgevid.video.reader import FrameReader, Way
from edgevid.video.stopwatch import Stopwatch

_REMEDIES = {
    errno.EACCES: "permission denied; join the group that owns the device (often 'video')",
    errno.EBUSY: "another program is using it; close that program first",
}


@contextlib.contextmanager
def open_camera(
    number: int, threads: int = 0, watch: Stopwatch | None = None
) -> Iterator[tuple[VideoInfo, FrameReader]]:
    """Open camera ``number`` and yield its description and its frames, which never end.

    Frames that arrive faster than they are read are dropped, so each one shows the present. Times are
    seconds after the first frame, by the driver's clock. ``threads`` decode, 0 for every core, and ``watch``
    measures them. Raises ``VideoError`` if the camera does not
    exist (the message lists those that do) or cannot be used.
    """
    name, input_format = device(number)

    @contextlib.contextmanager
    def connect() -> Iterator[tuple[Container, Stream]]:
        try:
            container = av.open(name, "r", format=input_format)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(_open_error(number, name, error)) from None
        with container:
            yield container, video_stream(container, name)

    way = Way(latest=True, threads=threads, stamped=True)
    with contextlib.closing(FrameReader(connect, name, lambda _: way, watch)) as reader:
        reader.start()
        assert reader.info is not None  # start waits for it
        yield reader.info, reader


def device(number: int) -> tuple[str, str]:
    """FFmpeg's name for camera ``number`` on this system, and the input format that reads it."""
    if sys.platform == "darwin":
        return str(number), "avfoundation"
    if sys.platform == "win32":
        cameras = list_cameras()
        return (f"video={cameras[number]}" if number < len(cameras) else f"video={number}"), "dshow"
    return f"/dev/video{number}", "v4l2"


def list_cameras() -> list[str]:
    """The cameras of this machine: device files on Linux, names elsewhere; empty if they cannot be listed."""
    if sys.platform.startswith("linux"):
        paths = map(str, Path("/dev").glob("video*"))
        return sorted(paths, key=lambda path: int(re.sub(r"\D", "", path) or 0))
    try:
        devices = av.enumerate_input_devices("dshow" if sys.platform == "win32" else "avfoundation")
    except (AttributeError, ValueError, av.error.FFmpegError):  # older PyAV, or built without the format
        return []
    return [camera.name for camera in devices]


def _open_error(number: int, name: str, error: Exception) -> str:
    remedy = _REMEDIES.get(getattr(error, "errno", None) or 0)
    if remedy:
        return f"camera {number} ('{name}') cannot be opened: {remedy}"
    cameras = list_cameras()
    choices = f"available cameras: {', '.join(cameras)}" if cameras else "no camera was found"
    reason = getattr(error, "strerror", None) or error
    return (
        f"camera {number} ('{name}') cannot be opened ({reason}): {choices}; connect one or use --video FILE"
    )
