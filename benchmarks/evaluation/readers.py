"""Threads that read videos while the network runs, a bounded number of views ahead."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

import numpy as np

from edgevid.benchmarks.evaluation.views import Views
from edgevid.errors import EdgevidError
from edgevid.video import READER_THREADS
from edgevid.video.datasets import LabelledVideo
from edgevid.video.pipeline import POLL_S

AHEAD = 2
"""Views that wait for each thread at most."""


class Kind(Enum):
    VIEW = "a view, float32 (T, 3, H, W)"
    START = "the number of frames; those of FRAME follow, from the first on"
    FRAME = "a frame, float32 (3, H, W)"
    END = "the video is complete"
    UNREADABLE = "why the video cannot be read"


@dataclass(frozen=True)
class Piece:
    """A part of a video; the pieces of one come in order, those of several mixed."""

    video: LabelledVideo
    kind: Kind
    data: np.ndarray | None = None
    frames: int = 0
    why: str = ""


class Readers:
    """Iterates over the pieces of ``videos`` as ``threads`` threads read them; use it as a context.

    With ``every_frame`` the views are followed by all frames of the video.
    """

    def __init__(
        self, videos: Iterable[LabelledVideo], views: Views, threads: int, every_frame: bool = False
    ) -> None:
        self._videos, self._views, self._every_frame = iter(videos), views, every_frame
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._pieces: queue.Queue[Piece | BaseException | None] = queue.Queue(AHEAD * threads)
        self._threads = [
            threading.Thread(target=self._run, name=READER_THREADS, daemon=True) for _ in range(threads)
        ]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * POLL_S)

    def __iter__(self) -> Iterator[Piece]:
        running = len(self._threads)
        while running:
            try:
                piece = self._pieces.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if piece is None:
                running -= 1
            elif isinstance(piece, BaseException):
                raise piece
            else:
                yield piece

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                with self._lock:
                    video = next(self._videos, None)
                if video is None:
                    break
                self._read(video)
        except _StoppedError:
            return
        except BaseException as error:
            self._put(error)
        self._put(None)

    def _read(self, video: LabelledVideo) -> None:
        def put(kind: Kind) -> Callable[[np.ndarray], None]:
            return lambda data: self._put(Piece(video, kind, data))

        try:
            for view in self._views.read(video.source):
                self._put(Piece(video, Kind.VIEW, view))
            if self._every_frame:
                start = lambda frames: self._put(Piece(video, Kind.START, frames=frames))  # noqa: E731
                self._views.read_all(video.source, start, put(Kind.FRAME))
        except (EdgevidError, OSError) as error:
            self._put(Piece(video, Kind.UNREADABLE, why=str(error)))
        else:
            self._put(Piece(video, Kind.END))

    def _put(self, piece: Piece | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._pieces.put(piece, timeout=POLL_S)
                return
            except queue.Full:
                continue
        raise _StoppedError


class _StoppedError(Exception):
    """Nobody takes pieces any more."""
