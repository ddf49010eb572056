"""``edgevid run`` on addresses and standard input: real servers here, and what is said if one fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_session import FakeSession
from servers import (
    FPS,
    encode,
    free_port,
    http_server,
    rtsp_server,
    silent_server,
    system_python_with_gstreamer,
    udp_sender,
)

from edgevid.video import reader

pytestmark = pytest.mark.slow

EDGEVID = [sys.executable, str(Path(__file__).parent.parent / "fake_session.py")]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    files = {
        "a.mp4": encode(folder / "a.mp4").read_bytes(),
        "late.mp4": encode(folder / "late.mp4", index_first=False).read_bytes(),
        "a.ts": encode(folder / "a.ts", format_name="mpegts").read_bytes(),
        "long.ts": encode(folder / "long.ts", 600, "mpegts").read_bytes(),
        "page.html": b"<html><body>Not here</body></html>" * 20,
    }
    with http_server(files) as server:
        yield server


@pytest.fixture(scope="module")
def rtsp():
    """The address of a live stream of a real RTSP server."""
    python = system_python_with_gstreamer()
    if python is None:
        pytest.skip("needs GStreamer's RTSP server: .ci/run names the packages of Debian")
    with rtsp_server(python) as (address, _):
        yield address


def start(*arguments: object, delay_s: float = 0.0, stdin=subprocess.DEVNULL) -> subprocess.Popen:
    """The command in a process of its own, with a network that takes ``delay_s``."""
    return subprocess.Popen(
        [*EDGEVID, "run", *map(str, arguments)],
        env={**os.environ, "EDGEVID_TEST_DELAY_S": str(delay_s)},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A parent that ignores SIGINT, as a shell's background job does, would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize("name", ["ranges/a.mp4", "whole/a.mp4", "ranges/late.mp4", "whole/a.ts"])
def test_a_stream_sees_each_frame_of_a_file_over_http(run, web, name):
    status, out, err = run(FakeSession(streaming=True), "--video", f"{web.url}/{name}", "--json")
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert [c["label"] for c in result["changes"]] == ["dark", "bright"]
    assert (result["frames"], result["drops"]) == (30, 0)
    assert (result["video"]["live"], result["video"]["reconnections"]) == (False, 0)
    assert result["video"]["path"] == f"{web.url}/{name}"


@pytest.mark.parametrize("name", ["ranges/a.mp4", "whole/a.mp4", "ranges/late.mp4", "ranges/a.ts"])
def test_a_clip_of_a_file_over_http_is_that_of_the_file(run, web, tmp_path, name):
    status, out, err = run(FakeSession(), "--video", f"{web.url}/{name}", "--json")
    assert (status, err) == (0, "")
    path = tmp_path / "local"
    path.write_bytes(web.files[name.partition("/")[2]])
    _, local, _ = run(FakeSession(), "--video", path, "--json")
    assert json.loads(out)["predictions"] == json.loads(local)["predictions"]


def test_a_live_stream_over_http_is_watched_to_its_end(run, web, caplog):
    status, out, _ = run(FakeSession(streaming=True), "--video", f"{web.url}/live/a.ts", "--json")
    result = json.loads(out)
    assert status == 0 and result["video"]["live"]
    assert result["frames"] + result["drops"] == 30
    assert result["predictions"][0]["label"] == "bright"
    assert "ended" in caplog.text


def test_a_live_stream_is_connected_again_on_request(run, web, caplog, monkeypatch):
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.1)
    arguments = ["--video", f"{web.url}/live/a.ts", "--reconnect", "--duration", 3, "--json"]
    status, out, _ = run(FakeSession(streaming=True), *arguments)
    result = json.loads(out)
    assert status == 0 and result["video"]["reconnections"] >= 1
    assert result["frames"] + result["drops"] > 30, "more than one connection gives"
    lost = [record for record in caplog.records if "connecting again in 0.1 s" in record.getMessage()]
    assert len(lost) in (result["video"]["reconnections"], result["video"]["reconnections"] + 1)


def test_a_person_is_told_what_was_dropped_and_waited_for(run, web):
    url = f"{web.url}/live/a.ts"
    status, out, _ = run(FakeSession(streaming=True), "--video", url)
    assert status == 0
    assert f"frames of {url} (64x48, h264" in out and f"Wall time includes waiting for {url}." in out
    assert "From the arrival of a frame to its prediction: " in out


def test_a_udp_stream_is_watched_for_a_time(run):
    port = free_port()
    with udp_sender(port):
        address = f"udp://127.0.0.1:{port}"
        status, out, err = run(FakeSession(streaming=True), "--video", address, "--duration", 2, "--json")
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert result["video"]["live"] and 0 < result["frames"] <= 2 * FPS + 10
    assert result["predictions"][0]["label"] == "bright"


def test_a_stream_of_a_real_rtsp_server_is_watched(run, rtsp):
    status, out, err = run(FakeSession(streaming=True), "--video", rtsp, "--duration", 1.5, "--json")
    result = json.loads(out)
    assert (status, err) == (0, "")
    assert result["video"]["live"] and result["frames"] >= 10
    assert result["predictions"][0]["label"] == "bright"


def test_a_slow_network_does_not_lag_behind_an_rtsp_stream(run, rtsp, monkeypatch):
    monkeypatch.setattr(FakeSession, "delay_s", 0.2)
    session = FakeSession(streaming=True)
    _, out, _ = run(session, "--video", rtsp, "--duration", 2, "--json")
    result = json.loads(out)
    assert result["drops"] > 15 and result["frames"] <= 11


def test_an_rtsp_path_that_does_not_exist_is_said(run, rtsp):
    status, out, err = run(FakeSession(streaming=True), "--video", rtsp.replace("/live", "/other"))
    assert (status, out) == (2, "") and "the server has no such video" in err


def test_an_rtsp_password_is_used_and_not_shown(run):
    python = system_python_with_gstreamer()
    if python is None:
        pytest.skip("needs GStreamer's RTSP server: .ci/run names the packages of Debian")
    with rtsp_server(python, "hush") as (address, _):
        right, wrong = (address.replace("//", f"//viewer:{word}@") for word in ("hush", "shout"))
        for url in (address, wrong):
            status, out, err = run(FakeSession(streaming=True), "--video", url)
            assert (status, out) == (2, "") and "asks for a user and password" in err
            assert "shout" not in err
        status, out, _ = run(FakeSession(streaming=True), "--video", right, "--duration", 1, "--json")
    assert status == 0 and "hush" not in out
    assert json.loads(out)["video"]["path"] == address.replace("//", "//viewer:***@")


def test_an_rtsp_server_that_dies_leaves_what_came(run, caplog):
    python = system_python_with_gstreamer()
    if python is None:
        pytest.skip("needs GStreamer's RTSP server: .ci/run names the packages of Debian")
    with rtsp_server(python) as (address, server):
        session = FakeSession(streaming=True)
        push, frames = session.push, []

        def count(frame):
            frames.append(1)
            if len(frames) == 10:
                server.kill()
            return push(frame)

        session.push = count
        status, out, _ = run(session, "--video", address, "--timeout", 4, "--json")
    assert status == 0 and json.loads(out)["frames"] >= 10
    assert address in caplog.text and "what came before counts" in caplog.text


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "address,why",
    [
        ("http://me:secret@127.0.0.1:9/a.mp4", "nothing listens there"),
        ("http://me:secret@camera.invalid/a.mp4", "the host 'camera.invalid' was not found"),
        ("foo://me:secret@host/a.mp4", "'foo://' are not supported"),
        ("http://", "names no host"),
        ("{web}/nothing/a.mp4?password=secret", "the server has no such video"),
        ("{web}/ranges/page.html?token=secret", "what comes from there is not a video"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_line(run, web, streaming, address, why):
    status, out, err = run(FakeSession(streaming=streaming), "--video", address.format(web=web.url))
    assert (status, out) == (2, "")
    assert why in err and err.startswith("edgevid: ") and err.count("\n") == 1
    assert "secret" not in err


@pytest.mark.parametrize("streaming", [False, True])
def test_a_server_that_says_nothing_is_one_line_after_the_time_out(run, streaming):
    with silent_server() as (port, _):
        start_s = time.monotonic()
        url = f"http://127.0.0.1:{port}/a.mp4"
        status, out, err = run(FakeSession(streaming=streaming), "--video", url, "--timeout", 0.5)
    assert (status, out) == (2, "") and time.monotonic() - start_s < 5
    assert "nothing came for 0.5 s" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "source", ["rtsp://127.0.0.1:9/live", "udp://127.0.0.1:9", "{web}/live/long.ts", "-"]
)
def test_a_clip_bundle_says_what_to_do_with_what_has_no_end(run, web, source):
    status, out, err = run(FakeSession(), "--video", source.format(web=web.url))
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert "save the video to a file first, or use a streaming bundle" in err


def test_addresses_are_among_several_videos(run, web, video):
    names = [video, f"{web.url}/ranges/a.mp4", f"{web.url}/nothing/x.mp4", f"{web.url}/live/a.ts"]
    status, out, err = run(FakeSession(streaming=True), "--video", *names, "--top", 1)
    assert status == 0
    assert [line.rpartition(": ")[0] for line in out.splitlines()] == [str(n) for n in names[:2]]
    lines = err.splitlines()
    assert "no such video" in lines[0] and "is live and has no end: name it alone" in lines[1]
    assert lines[2] == "4 videos, 2 skipped"


@pytest.mark.parametrize("name", ["a.mp4", "a.ts"])
def test_standard_input_is_recognized(web, tmp_path, name):
    (tmp_path / name).write_bytes(web.files[name])
    with subprocess.Popen(["cat", str(tmp_path / name)], stdout=subprocess.PIPE) as cat:
        process = start("stream", "--video", "-", "--json", stdin=cat.stdout)
        out, err = process.communicate(timeout=60)
    result = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert (result["frames"], result["drops"], result["video"]["live"]) == (30, 0, False)
    assert result["video"]["path"] == "standard input"


def test_a_file_redirected_into_standard_input_is_a_file(web, tmp_path):
    (tmp_path / "late.mp4").write_bytes(web.files["late.mp4"])
    with open(tmp_path / "late.mp4", "rb") as file:
        process = start("clip", "--video", "-", "--json", stdin=file)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["video"]["frames"] == 30


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="this system has no process substitution")
def test_process_substitution_is_recognized(web, tmp_path):
    (tmp_path / "a.ts").write_bytes(web.files["a.ts"])
    command = f"{' '.join(EDGEVID)} run stream --json --video <(cat '{tmp_path / 'a.ts'}')"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["frames"] == 30


@pytest.mark.parametrize("arguments", [["stream"], ["clip"]])
def test_empty_standard_input_is_one_line(arguments):
    process = start(*arguments, "--video", "-")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "") and err.startswith("edgevid: ") and err.count("\n") == 1
    assert "standard input" in err and "file" in err


@pytest.mark.parametrize("bundle", ["stream", "clip"])
def test_ctrl_c_ends_a_wait_for_a_server(bundle):
    with silent_server() as (port, connected):
        process = start(bundle, "--video", f"http://127.0.0.1:{port}/a.mp4", "--timeout", 60)
        assert connected.wait(60)
        start_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - start_s < 5
    assert (process.returncode, out) == (130, "")
    assert err.strip() == "edgevid: interrupted; nothing was changed"


def test_ctrl_c_ends_a_live_stream_with_what_was_seen(web):
    process = start("stream", "--video", f"{web.url}/stalls/long.ts", "--live", "--timeout", 60)
    assert "dark" in process.stdout.readline()
    start_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert time.monotonic() - start_s < 5
    assert process.returncode == 0 and "Traceback" not in err
    assert "fake processed" in out and "ms per frame" in out


@pytest.mark.parametrize("option", [["--duration", "2"], ["--live"], ["--every-frame"]])
def test_a_clip_bundle_takes_no_option_of_streams(run, option):
    status, out, err = run(FakeSession(), "--video", "http://127.0.0.1:9/a.mp4", *option)
    assert (status, out) == (2, "") and "need a streaming bundle or a camera" in err


@pytest.mark.parametrize(
    "arguments,what",
    [
        (["a.mp4", "--reconnect"], "--reconnect needs an address"),
        (["-", "--reconnect"], "--reconnect needs an address"),
        (["a.mp4", "--live"], "--live needs an address or '-'"),
        (["a.mp4", "--every-frame"], "--every-frame needs an address or '-'"),
        (["udp://127.0.0.1:9", "--timeout", "0"], "--timeout is 0"),
        (["udp://127.0.0.1:9", "--timeout", "inf"], "--timeout is inf"),
        (["udp://127.0.0.1:9", "--timeout", "nan"], "--timeout is nan"),
        (["udp://127.0.0.1:9", "--duration", "-1"], "--duration is -1"),
        (["a.mp4", "b.mp4", "--duration", "1"], "--duration needs --camera, an address or '-'"),
        (["udp://127.0.0.1:9", "--camera", "0"], "give exactly one of --video FILE and --camera N"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(run, arguments, what):
    status, out, err = run(FakeSession(streaming=True), "--video", *arguments)
    assert (status, out) == (2, "")
    assert what in err and err.startswith("edgevid: ") and err.count("\n") == 1
