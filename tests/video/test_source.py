"""Files, addresses and pipes are distinguished by name; a pipe is read once, in order, with a time-out."""

from __future__ import annotations

import os
import threading
import time

import pytest
from servers import encode

from edgevid.errors import VideoError
from edgevid.video.address import Address
from edgevid.video.decode import open_video, probe, read_frames
from edgevid.video.source import Pipe, parse_source


@pytest.fixture
def stdin(monkeypatch):
    """Make file descriptor 0 what is given, until the test ends."""
    saved = os.dup(0)

    def put(descriptor: int) -> None:
        os.dup2(descriptor, 0)
        os.close(descriptor)

    yield put
    os.dup2(saved, 0)
    os.close(saved)


@pytest.fixture
def piped(stdin):
    """Send bytes to standard input, and close it by default."""
    writers = []

    def send(data: bytes, close: bool = True) -> None:
        reader, writer = os.pipe()
        stdin(reader)

        def write() -> None:
            with os.fdopen(writer, "wb", closefd=close) as file:
                file.write(data)

        if not close:
            writers.append(writer)
        threading.Thread(target=write, daemon=True).start()

    yield send
    for writer in writers:
        os.close(writer)


def test_names_are_told_apart(tmp_path):
    assert parse_source("clip.mp4") == "clip.mp4"
    assert parse_source("rtsp://host/live", 3) == Address("rtsp://host/live", 3)
    path = tmp_path / "a b.mp4"
    path.write_bytes(b"video")
    assert parse_source(f"file://{path}") == str(path)
    assert parse_source(path.as_uri()) == str(path)
    assert parse_source(f"FILE://localhost{path}") == str(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read_in_order(tmp_path, which):
    data = encode(tmp_path / "a.ts", format_name="mpegts").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert parse_source(str(pipe)) == Pipe(str(pipe))
    threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True).start()
    frames = list(read_frames(parse_source(str(pipe))))
    assert [frame.image.mean() > 128 for frame in frames] == 10 * [False] + 20 * [True]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_that_nobody_writes_is_given_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match=r"pipe\.mp4 sends no video: nothing came for 0\.3 s"):
        probe(Pipe(str(tmp_path / "pipe.mp4"), 0.3))


@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "a.mkv"])
def test_standard_input_is_a_video(tmp_path, piped, name):
    piped(encode(tmp_path / name).read_bytes())
    assert len(list(read_frames(parse_source("-")))) == 30


def test_a_file_that_is_redirected_can_be_read_twice(tmp_path, stdin):
    if not os.path.exists("/dev/stdin"):
        pytest.skip("this system has no /dev/stdin")
    # Its index is at the end, so it cannot be read in order.
    path = encode(tmp_path / "a.mp4", index_first=False)
    stdin(os.open(path, os.O_RDONLY))
    source = parse_source("-")
    assert probe(source).frames == 30
    assert len(list(read_frames(source))) == 30


def test_nothing_on_standard_input_is_said(piped, stdin):
    piped(b"")
    with pytest.raises(VideoError, match="standard input is empty: send a video file"):
        probe(parse_source("-"))
    stdin(os.open(os.devnull, os.O_RDONLY))
    with pytest.raises(VideoError, match="standard input is empty"):
        probe(parse_source("-"))


def test_no_video_on_standard_input_is_said(piped):
    piped(os.urandom(20_000))
    with pytest.raises(VideoError, match=r"standard input cannot be read as a video .*faststart"):
        probe(parse_source("-"))


def test_a_terminal_is_no_video(stdin):
    pty = pytest.importorskip("pty")
    controller, terminal = pty.openpty()
    stdin(terminal)
    with pytest.raises(VideoError, match="standard input is a terminal"):
        probe(parse_source("-"))
    os.close(controller)


def test_standard_input_that_stalls_is_given_up(tmp_path, piped):
    piped(encode(tmp_path / "a.ts", format_name="mpegts").read_bytes()[:400], close=False)
    start_s = time.monotonic()
    with pytest.raises(VideoError, match=r"nothing came for 0\.4 s"):
        probe(parse_source("-", 0.4))
    assert time.monotonic() - start_s < 5


def test_a_camera_s_device_is_named_as_what_it_is():
    with pytest.raises(VideoError, match="is a camera: use --camera 17"):
        probe("/dev/video17")


def test_an_address_where_a_file_is_needed_hides_its_password():
    with (
        pytest.raises(VideoError, match=r"'rtsp://me:\*\*\*@host/live' is an address"),
        open_video("rtsp://me:secret@host/live"),
    ):
        pass
