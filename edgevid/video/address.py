"""Addresses of videos on a network: which FFmpeg may open and with what, and what to say when one fails."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import av

from edgevid.errors import VideoError

TIMEOUT_S = 10.0

PROTOCOLS = {
    "rtsp": "rtp,tcp,udp",
    "rtsps": "rtp,tcp,tls,udp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
    "http": "http,https,httpproxy,tls,tcp,crypto,data",
    "https": "http,https,httpproxy,tls,tcp,crypto,data",
}
"""The supported kinds of addresses, and the protocols that FFmpeg may use to open each.

What a server sends may be a playlist that names other addresses; none may lead to a file of this machine.
"""

FINITE = ("http", "https")
"""Behind these there may be a whole file; all others are live."""

SECRETS = re.compile(r"(?i)\b((?:pass\w*|pwd|\w*token|secret|\w*key|auth|sig\w*)=)[^&/?#]*")


@dataclass(frozen=True)
class Address:
    """Where a video comes from over a network.

    ``timeout_s``: how long to wait for data before giving up. ``resume``: let FFmpeg ask for the rest of a
    file when an HTTP connection breaks. Its text is the address without passwords, for messages and reports.
    """

    url: str
    timeout_s: float = TIMEOUT_S
    resume: bool = False

    @classmethod
    def parse(cls, text: str, timeout_s: float = TIMEOUT_S, resume: bool = False) -> Address:
        """Raises ``VideoError`` if addresses of this kind are not supported, or if it has no host."""
        scheme, rest = text.split("://", 1)
        scheme = scheme.lower()  # FFmpeg knows no 'RTSP://'
        if scheme not in PROTOCOLS:
            raise VideoError(
                f"addresses with '{scheme}://' are not supported: use {', '.join(PROTOCOLS)} or a file"
            )
        if not re.split(r"[/?#]", rest)[0].rpartition("@")[2]:
            raise VideoError(f"the address '{mask(text)}' names no host: write {scheme}://HOST:PORT/PATH")
        return cls(f"{scheme}://{rest}", timeout_s, resume)

    def __str__(self) -> str:
        return mask(self.url)

    @property
    def scheme(self) -> str:
        return self.url.partition(":")[0]

    @property
    def is_surely_live(self) -> bool:
        """Whether the address alone shows a live source; for others, :func:`is_live` checks the open one."""
        return self.scheme not in FINITE

    @contextlib.contextmanager
    def open(self) -> Iterator[av.container.InputContainer]:
        """Raises ``VideoError`` that says why the address cannot be opened, and what to do."""
        begin_s = time.monotonic()
        try:
            container = av.open(self.url, options=self._options(), timeout=(self.timeout_s, self.timeout_s))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # FFmpeg's RTSP calls a time-out invalid data.
            late = time.monotonic() - begin_s >= self.timeout_s
            # Not "from error": its text has the address, password included.
            raise VideoError(f"the address '{self}' cannot be opened: {self._why_not(error, late)}") from None
        with container:
            yield container

    def _options(self) -> dict[str, str]:
        options = {"protocol_whitelist": PROTOCOLS[self.scheme]}
        if self.scheme.startswith("rtsp"):
            options["rtsp_flags"] = "prefer_tcp"  # UDP loses packets, and many networks do not let it through
        if self.scheme in ("udp", "rtp"):
            options["overrun_nonfatal"] = "1"  # a decoder that falls behind loses frames, not the stream
        if self.resume and not self.is_surely_live:
            options |= {"reconnect": "1", "reconnect_delay_max": str(max(1, round(self.timeout_s)))}
        return options

    def _why_not(self, error: Exception, late: bool) -> str:
        if late or isinstance(error, av.error.ExitError | TimeoutError):
            return silence(self.timeout_s)
        if isinstance(error, ConnectionRefusedError):
            return "nothing listens there; check host and port, and that the server runs"
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return f"the server asks for a user and password; write {self.scheme}://USER:PASSWORD@HOST/PATH"
        if isinstance(error, av.error.HTTPNotFoundError):
            return "the server has no such video; check the path in the address"
        if isinstance(error, av.error.ProtocolNotFoundError):
            return f"this FFmpeg was built without {self.scheme}; use RTSP, HTTP or UDP, or save it to a file"
        if isinstance(error, av.error.InvalidDataError | EOFError):
            return "what comes from there is not a video; check the address"
        if not _resolves(self.url):
            return f"the host '{urlsplit(self.url).hostname}' was not found; check its name and the network"
        return f"{getattr(error, 'strerror', None) or type(error).__name__}; check the address and its server"


def is_address(text: str) -> bool:
    """Whether ``text`` leads to another machine; ``file://`` does not."""
    return re.match(r"(?!file:)[a-z][a-z0-9+.-]+://", text, re.IGNORECASE) is not None


def mask(url: str) -> str:
    """The address with ``***`` for what looks like a password, a token or a key."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, colon, behind = rest.partition(":")
    # A password may hold characters that ought to be escaped; without one, what follows is a port.
    end = host.rfind("@") if "@" in host else rest.rfind("@")
    if colon and len(user) < end and ("@" in host or not re.match(r"\d+([/?#]|$)", behind)):
        rest = f"{user}:***{rest[end:]}"
    return scheme + separator + SECRETS.sub(r"\1***", rest)


def is_live(container: av.container.InputContainer, address: Address) -> bool:
    """Whether frames come as they happen: no whole file is behind the address, nor a playlist with an end."""
    if address.is_surely_live:
        return True
    has_size = container.size > 0 and container.format.name != "hls"  # of HLS that would be the playlist's
    return not (container.duration or has_size)


def silence(timeout_s: float) -> str:
    return f"nothing came for {timeout_s:g} s; check that the source sends, or wait longer with --timeout"


def _resolves(url: str) -> bool:
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except (socket.gaierror, UnicodeError):
        return False
    except ValueError:  # an address that cannot be split
        return True
    return True
