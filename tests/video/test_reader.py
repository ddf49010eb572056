"""A reader hears Ctrl-C, drops what is old of a live source, keeps each frame of others, and reconnects."""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
import time

import numpy as np
import pytest
from servers import FPS, encode, free_port, http_server, silent_server, udp_sender

from edgevid.errors import VideoError
from edgevid.video import reader
from edgevid.video.address import Address
from edgevid.video.pipeline import interruptible
from edgevid.video.reader import FrameReader, Way, open_reader
from edgevid.video.source import parse_source

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    transport = encode(folder / "a.ts", format_name="mpegts").read_bytes()
    head = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:1\n"
    segment = b"#EXTINF:1.5,\na.ts\n"
    files = {
        "a.ts": transport,
        "long.ts": encode(folder / "long.ts", 400, "mpegts").read_bytes(),
        "a.mp4": encode(folder / "a.mp4").read_bytes(),
        "live.m3u8": head + segment + b"#EXT-X-DISCONTINUITY\n" + segment,
    }
    with http_server(files) as server:
        yield server


def bright(frames: list) -> list[bool]:
    return [bool(frame.image.mean() > 128) for frame in frames]


def test_each_frame_of_a_whole_file_is_given_however_slow_it_is_taken(web):
    with open_reader(Address.parse(f"{web.url}/ranges/a.mp4")) as frames:
        assert (frames.info.width, frames.way.latest) == (64, False)
        received = []
        for frame in frames:
            time.sleep(0.005)
            received.append(frame)
    assert bright(received) == 10 * [False] + 20 * [True]
    assert np.diff([frame.time_s for frame in received]) == pytest.approx(1 / FPS, abs=2e-3)
    assert frames.drops == 0


def test_a_slow_taker_of_a_live_source_sees_the_latest_frame():
    port = free_port()
    with udp_sender(port), open_reader(Address.parse(f"udp://127.0.0.1:{port}", 10)) as frames:
        next(frames)
        began_s, times = time.monotonic(), []
        while time.monotonic() < began_s + 2:
            frame = next(frames)
            times.append((frame.time_s, time.monotonic()))
            time.sleep(0.25)
        assert frames.way.latest
    # Of 20 frames/s it saw 4, and the stream's clock went on like the wall's: it did not lag.
    stream_s, wall_s = (times[-1][i] - times[1][i] for i in (0, 1))
    assert stream_s == pytest.approx(wall_s, abs=0.3)
    assert frames.drops >= 2 * FPS - len(times) - 15


def test_each_frame_can_be_asked_for(web):
    # A live stream, because its server tells no length.
    with open_reader(Address.parse(f"{web.url}/live/a.ts"), live=False) as frames:
        assert not frames.way.latest
        assert len(list(frames)) == 30
    assert frames.drops == 0


def test_the_latest_frame_of_a_file_can_be_asked_for(web):
    start_s = time.monotonic()
    with open_reader(Address.parse(f"{web.url}/ranges/a.mp4"), live=True) as frames:
        received = list(frames)
    # It plays at its own speed: 1.5 s.
    assert time.monotonic() - start_s >= 1.3
    assert 20 <= len(received) <= 30 and bright(received)[-1]


def test_a_segment_at_once_is_played_at_its_own_speed(web):
    with open_reader(Address.parse(f"{web.url}/ranges/live.m3u8"), duration_s=1.4) as frames:
        assert (frames.way.latest, frames.way.paced) == (True, True)
        received = list(frames)
    assert len(received) + frames.drops <= 1.6 * FPS
    assert len(received) >= 0.7 * 1.4 * FPS


def test_a_live_source_that_ends_says_so_and_what_it_gave_counts(web, caplog):
    with open_reader(Address.parse(f"{web.url}/live/a.ts")) as frames:
        received = list(frames)
    assert bright(received)[-1] and len(received) + frames.drops == 30
    assert "ended" in caplog.text and "/live/a.ts" in caplog.text


def test_a_sender_that_stops_ends_the_stream_after_the_time_out(caplog):
    port = free_port()
    with udp_sender(port) as stop, open_reader(Address.parse(f"udp://127.0.0.1:{port}", 1.5)) as frames:
        assert len([next(frames) for _ in range(10)]) == 10
        stop.set()
        start_s = time.monotonic()
        list(frames)
        assert 1 < time.monotonic() - start_s < 6
    assert "nothing came for 1.5 s" in caplog.text


def test_a_whole_file_that_stalls_gives_what_came(web, caplog):
    with open_reader(Address.parse(f"{web.url}/stalls/a.ts", 0.5)) as frames:
        received = list(frames)
    assert 5 < len(received) < 25
    assert "nothing came for 0.5 s" in caplog.text and "what came before counts" in caplog.text


def test_a_live_source_is_connected_again(web, caplog, monkeypatch):
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.1)
    address = Address.parse(web.url.replace("http://", "http://me:secret@") + "/live/a.ts")
    with open_reader(address, reconnect=True) as frames:
        times = []
        for frame in frames:
            times.append(frame.time_s)
            if frame.time_s > 4 and frames.reconnections >= 2:
                break
    assert np.all(np.diff(times) > 0), "times go on"
    assert "connecting again in 0.1 s" in caplog.text
    assert "secret" not in caplog.text


def test_reconnection_waits_longer_each_time_that_nothing_comes(web, caplog, monkeypatch):
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.05)
    with contextlib.ExitStack() as until_it_stops:
        server = until_it_stops.enter_context(http_server(web.files))
        address = Address.parse(f"{server.url}/live/a.ts", 1.5)
        with open_reader(address, reconnect=True, duration_s=2) as frames:
            next(frames)
            until_it_stops.close()
            start_s = time.monotonic()
            assert len(list(frames)) < 30, "what it has left, for the connection ends early"
            assert 1 < time.monotonic() - start_s < 4, "it ends by its duration though nothing comes"
    assert "again in 0.05 s" in caplog.text
    assert "again in 0.1 s" in caplog.text


def test_the_first_connection_is_not_tried_again():
    with (
        pytest.raises(VideoError, match="nothing listens there"),
        open_reader(Address.parse("http://127.0.0.1:9/a"), reconnect=True),
    ):
        pass


def test_a_broken_download_is_resumed(web):
    counts = []
    for resume in (False, True):
        with open_reader(parse_source(f"{web.url}/flaky/long.ts", 5, resume)) as frames:
            counts.append(sum(1 for _ in frames))
    assert counts[0] < 200 and counts[1] == 400


@pytest.fixture
def heard():
    """A shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", ["http", "rtsp", "tcp"])
def test_ctrl_c_is_heard_while_a_server_says_nothing(kind, heard):
    with silent_server() as (port, _):
        threading.Timer(0.4, _thread.interrupt_main).start()
        start_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt), open_reader(Address.parse(f"{kind}://127.0.0.1:{port}/x", 3)):
            pass
        assert time.monotonic() - start_s < 2.5


def test_ctrl_c_is_heard_while_a_clip_is_fetched(heard):
    with silent_server() as (port, _):
        address = Address.parse(f"http://127.0.0.1:{port}/x", 3)
        threading.Timer(0.4, _thread.interrupt_main).start()
        start_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            interruptible(lambda: list(reader.open_video(address).__enter__()))
        assert time.monotonic() - start_s < 2.5


def test_work_gives_its_result_or_its_error():
    assert interruptible(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 / 0)


def test_a_look_up_that_hangs_is_given_up():
    """FFmpeg's own time-out does not count while it looks for a host."""

    def connect():
        time.sleep(5)
        raise AssertionError

    with pytest.raises(VideoError, match="no frame of 'camera' came"):
        FrameReader(connect, "camera", lambda _: Way()).start(open_s=0.3)
