"""What a video is read from: a file, an address, or a pipe such as standard input; and how each is opened."""

from __future__ import annotations

import contextlib
import os
import re
import select
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import av

from edgevid.errors import VideoError
from edgevid.video.address import TIMEOUT_S, Address, is_address, mask, silence

STANDARD_INPUT = "-"

INDEX_FIRST = "an MP4 file must have its index first (FFmpeg's -movflags faststart)"
"""What a source needs that can be read only in its order."""


@dataclass(frozen=True)
class Pipe:
    """Bytes that can be read once, in their order: standard input (``-``), or a named pipe by its path.

    ``timeout_s``: how long to wait for bytes before giving up.
    """

    path: str = STANDARD_INPUT
    timeout_s: float = TIMEOUT_S

    def __str__(self) -> str:
        return "standard input" if self.path == STANDARD_INPUT else self.path

    @contextlib.contextmanager
    def open(self) -> Iterator[av.container.InputContainer]:
        """Raises ``VideoError`` if nothing comes, or nothing that FFmpeg can read in its order."""
        with contextlib.closing(_PipeFile(self)) as file:
            try:
                container = av.open(file, "r")
            except (av.error.FFmpegError, OSError) as error:
                if not file.bytes_read:
                    raise VideoError(f"{self} is empty: send a video file into it") from None
                raise VideoError(
                    f"{self} cannot be read as a video ({error.strerror}): {INDEX_FIRST}, "
                    "or name the file instead"
                ) from None
            with container:
                yield container


@dataclass(frozen=True)
class FrameFolder:
    """A video as pictures in a folder: number N, from 1, is the file ``pattern.format(N)``.

    ``frames`` is how many there are; None counts the files. Only frames can be picked of it.
    """

    path: Path
    pattern: str = "{:05d}.jpg"
    frames: int | None = None

    def __str__(self) -> str:
        return str(self.path)


Source: TypeAlias = "str | os.PathLike[str] | Address | Pipe | FrameFolder"


def parse_source(text: str, timeout_s: float = TIMEOUT_S, resume: bool = False) -> Source:
    """Parse a user's source: an address, a ``file://`` address, ``-``, or the path of a file or pipe.

    Raises ``VideoError`` for an address with an unsupported protocol.
    """
    if text == STANDARD_INPUT:
        # A file that is redirected can be read more than once, and from any place.
        is_file = os.path.exists("/dev/stdin") and os.path.isfile("/dev/stdin")
        return "/dev/stdin" if is_file else Pipe(timeout_s=timeout_s)
    if text.lower().startswith("file://"):
        from urllib.request import url2pathname  # which imports all of HTTP

        path = text[len("file://") :].removeprefix("localhost")
        return path if os.path.exists(path) else url2pathname(path)
    if is_address(text):
        return Address.parse(text, timeout_s, resume)
    return Pipe(text, timeout_s) if is_pipe(text) else text


def is_pipe(name: str) -> bool:
    """Whether ``name`` is standard input or a named pipe."""
    try:
        return name == STANDARD_INPUT or stat.S_ISFIFO(os.stat(name).st_mode)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def open_container(source: Source) -> Iterator[av.container.InputContainer]:
    """Open a source with FFmpeg, without choosing a stream. Raises ``VideoError`` if it cannot be opened."""
    opened = source.open() if isinstance(source, Address | Pipe) else _open_file(str(source))
    with opened as container:
        yield container


def _open_file(name: str) -> av.container.InputContainer:
    if is_address(name):
        raise VideoError(
            f"'{mask(name)}' is an address, but a file is required: save the video to a file first"
        )
    if os.path.isdir(name):
        raise VideoError(f"'{name}' is a folder: name one video file")
    if re.fullmatch(r"/dev/video\d+", name):
        raise VideoError(f"'{name}' is a camera: use --camera {name.removeprefix('/dev/video')}")
    if not os.path.exists(name):
        raise VideoError(f"no video at '{name}': check the path")
    if not os.path.isfile(name):
        raise VideoError(
            f"'{name}' is not a regular file, so it cannot be read twice: save the video to a file"
        )
    if os.path.getsize(name) == 0:
        raise VideoError(f"'{name}' is empty: copy or record it again")
    try:
        # An absolute path, because FFmpeg takes what comes before a colon for a protocol.
        return av.open(os.path.abspath(name))
    except PermissionError:
        raise VideoError(f"'{name}' cannot be read (permission denied): change its permissions") from None
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(
            f"'{name}' cannot be read as a video ({error.strerror}): "
            "name a video file such as MP4, or copy it again if it is incomplete"
        ) from None


class _PipeFile:
    """What FFmpeg reads a pipe through; it gives up when nothing comes, which FFmpeg itself would not."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.bytes_read = 0
        try:
            if pipe.path == STANDARD_INPUT:
                self._descriptor = os.dup(0)
            else:
                # Else opening would wait for a writer, for ever.
                self._descriptor = os.open(pipe.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise VideoError(f"{pipe} cannot be read ({error.strerror}): name a video file") from None
        if os.isatty(self._descriptor):
            self.close()
            raise VideoError(f"{pipe} is a terminal: send a video file into it, as in 'cat FILE | edgevid'")

    def read(self, size: int) -> bytes:
        # Windows cannot wait for pipes.
        if sys.platform != "win32" and not select.select([self._descriptor], [], [], self._pipe.timeout_s)[0]:
            raise VideoError(f"{self._pipe} sends no video: {silence(self._pipe.timeout_s)}, or name a file")
        data = os.read(self._descriptor, size)
        self.bytes_read += len(data)
        return data

    def close(self) -> None:
        os.close(self._descriptor)
