"""Addresses: which are taken, what is never shown of them, and what a server can make FFmpeg open."""

from __future__ import annotations

import pytest
from servers import encode, http_server, silent_server

from edgevid.errors import VideoError
from edgevid.video.address import PROTOCOLS, Address, is_address, is_live, mask
from edgevid.video.decode import open_video, probe

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "text,yes",
    [
        ("rtsp://host/live", True),
        ("HTTP://host", True),
        ("foo+bar://x", True),
        ("file:///a.mp4", False),
        ("a.mp4", False),
        ("C:/a.mp4", False),
        ("odd:name.mp4", False),
        ("folder/http://x", False),
        ("-", False),
    ],
)
def test_what_is_an_address(text, yes):
    assert is_address(text) is yes


@pytest.mark.parametrize(
    "url,shown",
    [
        ("rtsp://user:secret@host:554/live", "rtsp://user:***@host:554/live"),
        ("rtsp://user:se@cret@host/live", "rtsp://user:***@host/live"),
        ("rtsp://user:se/cr#e?t@host/live", "rtsp://user:***@host/live"),
        ("http://:secret@host/", "http://:***@host/"),
        ("rtsp://host/user=admin&password=secret&channel=1", "rtsp://host/user=admin&password=***&channel=1"),
        ("http://host/v.cgi?user=a&pwd=secret", "http://host/v.cgi?user=a&pwd=***"),
        ("https://host/a.mp4?X-Amz-Signature=secret&x=1", "https://host/a.mp4?X-Amz-Signature=***&x=1"),
        ("http://host/a.mp4?access_token=secret#t", "http://host/a.mp4?access_token=***#t"),
        ("rtsp://user@host/live", "rtsp://user@host/live"),
        ("rtsp://host:554/a@b:c", "rtsp://host:554/a@b:c"),
        ("udp://@:1234", "udp://@:1234"),
        ("http://[::1]:8080/a.mp4", "http://[::1]:8080/a.mp4"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_passwords_are_not_shown(url, shown):
    assert mask(url) == shown
    assert "secret" not in mask(url)


def test_the_scheme_may_be_in_capitals():
    assert Address.parse("RTSP://host/Live").url == "rtsp://host/Live"


@pytest.mark.parametrize(
    "text,why",
    [
        ("foo://host/x", "addresses with 'foo://' are not supported: use rtsp, "),
        ("rtsp://", "names no host: write rtsp://HOST"),
        ("http:///clip.mp4", "names no host"),
        ("rtsp://user:secret@/live", "'rtsp://user:***@/live' names no host"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(text, why):
    with pytest.raises(VideoError) as raised:
        Address.parse(text)
    assert why in str(raised.value)


def test_local_protocols_are_never_allowed():
    allowed = {protocol for protocols in PROTOCOLS.values() for protocol in protocols.split(",")}
    assert not allowed & {
        "file",
        "pipe",
        "fd",
        "concat",
        "concatf",
        "subfile",
        "async",
        "cache",
        "unix",
        "ipfs",
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the server has, by name; some of it points at a video that lies on this machine."""
    folder = tmp_path_factory.mktemp("served")
    local = encode(folder / "local.ts", format_name="mpegts")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.5,\n{}\n"
    end = "#EXT-X-ENDLIST\n"
    return {
        "a.mp4": encode(folder / "a.mp4").read_bytes(),
        "a.ts": local.read_bytes(),
        "late.mp4": encode(folder / "late.mp4", index_first=False).read_bytes(),
        "whole.m3u8": (playlist.format("a.ts") + end).encode(),
        "live.m3u8": playlist.format("a.ts").encode(),
        "page.html": b"<html><body>Not here</body></html>" * 20,
        "file.m3u8": (playlist.format(f"file://{local}") + end).encode(),
        "path.m3u8": (playlist.format(local) + end).encode(),
        "concat.m3u8": (playlist.format(f"concat:{local}|{local}") + end).encode(),
        "path.ffconcat": f"ffconcat version 1.0\nfile {local}\n".encode(),
        "file.ffconcat": f"ffconcat version 1.0\nfile file://{local}\n".encode(),
        "rtp.sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    }


@pytest.fixture(scope="module")
def web(files):
    with http_server(files) as server:
        yield server


@pytest.mark.parametrize("way", ["ranges", "whole"])
@pytest.mark.parametrize("name", ["a.mp4", "a.ts", "late.mp4", "whole.m3u8"])
def test_a_whole_file_is_told_from_a_live_stream(web, way, name):
    address = Address.parse(f"{web.url}/{way}/{name}")
    with open_video(address) as (container, stream):
        assert not is_live(container, address)
        assert (stream.width, stream.height) == (64, 48)


@pytest.mark.parametrize("name", ["live/a.ts", "ranges/live.m3u8"])
def test_a_live_stream_is_told_from_a_whole_file(web, name):
    address = Address.parse(f"{web.url}/{name}")
    with open_video(address) as (container, _):
        assert is_live(container, address)


@pytest.mark.parametrize(
    "name", ["file.m3u8", "path.m3u8", "concat.m3u8", "path.ffconcat", "file.ffconcat", "rtp.sdp"]
)
def test_a_server_cannot_make_a_file_of_this_machine_be_opened(web, name):
    with pytest.raises(VideoError, match="cannot be opened"):
        probe(Address.parse(f"{web.url}/ranges/{name}", timeout_s=5))


def test_without_the_limit_it_could(web, monkeypatch):
    limits = {"http": PROTOCOLS["http"] + ",file"}
    monkeypatch.setattr("edgevid.video.address.PROTOCOLS", PROTOCOLS | limits)
    assert probe(Address.parse(f"{web.url}/ranges/file.m3u8"))


@pytest.mark.parametrize(
    "path,why",
    [
        ("nothing/a.mp4", "the server has no such video"),
        ("error/a.mp4", "5XX"),
        ("locked/a.mp4", "asks for a user and password; write http://USER:PASSWORD@HOST/PATH"),
        ("ranges/page.html", "what comes from there is not a video"),
    ],
)
def test_an_answer_that_is_no_video_is_said(web, path, why):
    address = web.url.replace("http://", "http://me:secret@") + "/" + path
    with pytest.raises(VideoError) as raised:
        probe(Address.parse(address))
    assert why in str(raised.value) and "secret" not in str(raised.value)
    assert raised.value.__suppress_context__, "the cause has the password"


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp", "rtmp", "https"])
def test_a_server_that_says_nothing_is_given_up(scheme):
    with silent_server() as (port, _), pytest.raises(VideoError, match=r"nothing came for 0\.5 s"):
        probe(Address.parse(f"{scheme}://127.0.0.1:{port}/live", timeout_s=0.5))


def test_a_sender_that_is_not_there_is_given_up():
    with silent_server() as (port, _), pytest.raises(VideoError, match=r"nothing came for 0\.5 s"):
        probe(Address.parse(f"udp://127.0.0.1:{port}", timeout_s=0.5))


@pytest.mark.parametrize("scheme", ["http", "rtsp", "tcp", "rtmp"])
def test_a_refused_connection_is_said(scheme):
    with pytest.raises(VideoError, match="nothing listens there"):
        probe(Address.parse(f"{scheme}://127.0.0.1:9/live"))


@pytest.mark.parametrize("scheme", ["http", "rtsp", "udp"])
def test_a_host_that_is_not_known_is_named(scheme):
    # '.invalid' is no name of a host, on any network.
    with pytest.raises(VideoError, match=r"the host 'camera\.invalid' was not found"):
        probe(Address.parse(f"{scheme}://camera.invalid:5000/live"))


def test_a_protocol_that_this_ffmpeg_lacks_is_said(monkeypatch):
    monkeypatch.setattr("edgevid.video.address.PROTOCOLS", PROTOCOLS | {"nosuch": "nosuch"})
    with pytest.raises(VideoError, match="was built without nosuch"):
        probe(Address.parse("nosuch://127.0.0.1/live"))
