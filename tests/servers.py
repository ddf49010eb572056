"""Real servers of videos on this machine: HTTP, MPEG-TS over UDP, RTSP, and one that never answers."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 20

RTSP_SERVER = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=white ! video/x-raw,format=I420,width=64,height=48,framerate=20/1"
    " ! jpegenc ! rtpjpegpay name=pay0 )"
)
if len(sys.argv) > 1:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic("viewer", sys.argv[1]), token)
    server.set_auth(auth)
    factory.add_role_from_structure(Gst.Structure.new_from_string(
        "viewer, media.factory.access=true, media.factory.construct=true"))
server.get_mount_points().add_factory("/live", factory)
assert server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def encode(path: Path, frames: int = 30, format_name: str | None = None, index_first: bool = True) -> Path:
    """Dark for the first third, then bright, ``FPS`` frames/s, a keyframe every 5."""
    options = {"movflags": "faststart"} if str(path).endswith("mp4") and index_first else {}
    with av.open(str(path), "w", format=format_name, options=options) as out:
        stream = _add_stream(out)
        for i in range(frames):
            _write(out, stream, i, 20 if i < frames // 3 else 235)
        out.mux(stream.encode())
    return path


def _add_stream(out: av.container.OutputContainer) -> av.VideoStream:
    stream = out.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "preset": "ultrafast"})
    stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
    return stream


def _write(out: av.container.OutputContainer, stream: av.VideoStream, i: int, level: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
    frame.pts, frame.time_base = i, Fraction(1, FPS)
    out.mux(stream.encode(frame))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``, bytes by path, in the way that the first part of the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range")))
        way, _, name = self.path.partition("?")[0].strip("/").partition("/")
        self.close_connection = True
        with contextlib.suppress(ConnectionError):
            getattr(self, f"serve_{way}", self.serve_missing)(self.server.files.get(name, b""))

    do_HEAD = do_GET

    def serve_missing(self, data: bytes) -> None:
        self.send_error(404)

    def serve_error(self, data: bytes) -> None:
        self.send_error(500)

    def serve_locked(self, data: bytes) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="videos"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def serve_whole(self, data: bytes) -> None:
        """As Python's own server does: with its length, and without ranges."""
        self._head(200, len(data))
        self.wfile.write(data)

    def serve_ranges(self, data: bytes, most: int | None = None) -> None:
        first, last = 0, len(data) - 1
        requested = self.headers.get("Range")
        if requested:
            start, _, end = requested.removeprefix("bytes=").partition("-")
            first, last = int(start), int(end or last)
        self._head(206 if requested else 200, last + 1 - first, f"bytes {first}-{last}/{len(data)}")
        self.wfile.write(data[first : last + 1][:most])

    def serve_flaky(self, data: bytes) -> None:
        """The connection is lost after a third; the rest can be asked for."""
        self.serve_ranges(data, len(data) // 3 + 1)

    def serve_live(self, data: bytes, seconds: float = 1.5) -> None:
        """Without a length, in the time that it takes to play; then the connection ends."""
        self._head(200, None)
        slices = max(1, int(seconds * FPS))
        for i in range(slices):
            self.wfile.write(data[len(data) * i // slices : len(data) * (i + 1) // slices])
            self.wfile.flush()
            if self.server.stopped.wait(seconds / slices):
                return

    def serve_unsized(self, data: bytes) -> None:
        """As a simple server of HTTP/1.0 does: no length, and no word that the connection will end."""
        self.protocol_version = "HTTP/1.0"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)

    def serve_half(self, data: bytes) -> None:
        """Everything, but it declares twice as much, then the connection is lost."""
        self._head(200, 2 * len(data))
        self.wfile.write(data)

    def serve_stalls(self, data: bytes) -> None:
        """Half of what it declares, then nothing."""
        self._head(200, len(data))
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        self.server.stopped.wait(30)

    def serve_dies(self, data: bytes) -> None:
        """Half of what it declares, then the connection is lost."""
        self._head(200, len(data))
        self.wfile.write(data[: len(data) // 2])

    def _head(self, status: int, length: int | None, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        if content_range:
            self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def http_server(files: dict[str, bytes], port: int = 0) -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads, server.block_on_close = True, False
    server.files, server.requests, server.stopped = files, [], threading.Event()
    server.socket.settimeout(5)  # a connection that is gone when it is taken must not block the server
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def silent_server() -> Iterator[tuple[int, threading.Event]]:
    """The port of a server that takes connections and says nothing; and whether one has been made."""
    connected = threading.Event()
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    opened.enter_context(listener.accept()[0])
                    connected.set()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], connected
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave the thread waiting
            thread.join(10)


@contextlib.contextmanager
def udp_sender(port: int, seconds: float = 60) -> Iterator[threading.Event]:
    """Sends MPEG-TS to a port in real time, dark and then bright after 1 s; the event ends it."""
    stop = threading.Event()

    def send() -> None:
        address = f"udp://127.0.0.1:{port}?pkt_size=1316"
        with av.open(address, "w", format="mpegts", options={"flush_packets": "1"}) as out:
            stream = _add_stream(out)
            start_s = time.monotonic()
            for i in range(int(seconds * FPS)):
                if stop.wait(max(0.0, start_s + i / FPS - time.monotonic())):
                    return
                _write(out, stream, i, 20 if i < FPS else 235)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)


def system_python_with_gstreamer() -> str | None:
    """A Python that can serve RTSP; see ``.ci/run`` for the packages of Debian that make one."""
    check = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
        "Gst.init(None); assert Gst.ElementFactory.find('jpegenc') and Gst.ElementFactory.find('rtpjpegpay')"
    )
    for python in ("/usr/bin/python3", sys.executable):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([python, "-c", check], check=True, capture_output=True, timeout=60)
            return python
    return None


@contextlib.contextmanager
def rtsp_server(python: str, *password: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of a live stream, 20 white frames/s, and its server; with a password for user 'viewer'."""
    server = subprocess.Popen(
        [python, "-c", RTSP_SERVER, *password], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = int(server.stdout.readline())
        yield f"rtsp://127.0.0.1:{port}/live", server
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
