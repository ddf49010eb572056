"""Read frames in a background thread: Ctrl-C works while FFmpeg waits, and live frames do not queue up."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edgevid.errors import VideoError
from edgevid.video import READER_THREADS
from edgevid.video.address import Address, is_live
from edgevid.video.declared import declared_frame_rate
from edgevid.video.decode import (
    Container,
    Stream,
    VideoInfo,
    decoded_frames,
    describe,
    open_video,
)
from edgevid.video.frame import Frame, Picture
from edgevid.video.pipeline import POLL_S
from edgevid.video.source import Pipe
from edgevid.video.stopwatch import Stopwatch
from edgevid.video.timestamps import interval_of

logger = logging.getLogger("edgevid")

MAX_AGE_S = 0.1
"""A live frame that waited for longer is dropped if there is a newer one; networks send in small bursts.

Only who keeps up with the source gets a burst frame by frame; who does not, gets the newest frame.
"""

MAX_WAITING = 8
"""Live frames that wait at most; more of them are dropped, oldest first."""

AHEAD = 4
"""Frames that are read ahead where every frame counts."""

FIRST_DELAY_S, MAX_DELAY_S = 1.0, 30.0
"""Reconnection waits for the first, then each time twice as long up to the other."""

FIRST_FRAME_S = 60.0
"""How long an open source may go without a frame that can be decoded: whole pictures are rare."""

CAPTURE, ARRIVAL = "capture", "arrival"
"""Whose clock says how old a frame is: the camera's, which stamps frames, or ours when a packet comes."""

MAX_CAPTURE_S = 10.0
"""A stamp that is further back is of another clock."""

MAX_PAUSE_S = 30.0
"""A paced source whose next frame is later than this has jumped in time, and is not waited for."""

Connect = Callable[[], contextlib.AbstractContextManager[tuple[Container, Stream]]]


@dataclass(frozen=True)
class Way:
    """How frames are read.

    ``latest``: the source is live, so frames that come faster than they are taken are dropped. ``paced``: it
    sends faster than it plays, as HLS does a segment at a time, so frames wait for their time. ``reconnect``:
    connect again when it ends or fails. ``duration_s``: stop that long after the first frame. ``threads``
    decode, 0 for every core. ``stamped``: its stamps are the monotonic clock at capture, as drivers of
    cameras give.
    """

    latest: bool = False
    paced: bool = False
    reconnect: bool = False
    duration_s: float | None = None
    threads: int = 0
    stamped: bool = False


class FrameReader:
    """An iterator of the frames of a source, which another thread reads and decodes.

    ``info`` describes the source and ``way`` how it is read, once :meth:`start` has returned. ``drops``
    counts the live frames that were left out, ``reconnections`` the times that the source was opened anew.
    Times go on through a reconnection by the clock; what came before it is not forgotten. ``clock`` says
    what a picture's ``captured_s`` is. ``watch`` measures decoding.
    """

    def __init__(
        self,
        connect: Connect,
        name: str,
        choose_way: Callable[[Container], Way],
        watch: Stopwatch | None = None,
    ) -> None:
        self.info: VideoInfo | None = None
        self.way = Way()
        self.drops = self.reconnections = 0
        self.clock = ARRIVAL
        self._connect, self._name, self._choose_way = connect, name, choose_way
        self._watch = watch
        self._waiting: deque[tuple[Picture, float, float]] = deque()
        self._handed_s = 0.0  # when the last frame was handed out
        self._interval_s = interval_of(None)
        self._changed = threading.Condition()
        self._stop, self._opened, self._done = threading.Event(), threading.Event(), threading.Event()
        self._start_s = 0.0  # when the first frame came, by the monotonic clock
        self._last_s = self._jumped_s = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=READER_THREADS, daemon=True)

    def start(self, open_s: float | None = None) -> FrameReader:
        """Wait for the first frame; raises what made it fail to come, or ``VideoError`` after ``open_s``.

        FFmpeg has a time-out of its own, but not while it looks up a host.
        """
        self._thread.start()
        begin_s = time.monotonic()

        def is_late() -> bool:
            limit_s = FIRST_FRAME_S if self._opened.is_set() else open_s
            return limit_s is not None and time.monotonic() > begin_s + limit_s

        with self._changed:
            while self.info is None and not self._done.is_set() and not is_late():
                self._changed.wait(POLL_S)
            if self.info is None:
                self._stop.set()
                raise self._error or VideoError(
                    f"no frame of '{self._name}' came in {time.monotonic() - begin_s:.0f} s: check that "
                    "its source sends video"
                )
        return self

    def close(self) -> None:
        """Let the thread end; where it waits for a network it does so after the time-out of that."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=2 * POLL_S)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        now = time.monotonic()
        keeps_up = not self._handed_s or now - self._handed_s <= self._interval_s
        with self._changed:
            while not self._waiting and not self._done.is_set() and not self._is_over():
                self._changed.wait(POLL_S)
            if self._is_over() or not self._waiting:
                if self._error is not None:
                    raise self._error
                raise StopIteration
            if self.way.latest:
                self._drop_old(MAX_AGE_S if keeps_up else 0.0)
            picture, time_s, _ = self._waiting.popleft()
            self._handed_s = time.monotonic()
            self._changed.notify_all()
        return Frame(picture, time_s)

    def _is_over(self) -> bool:
        limit_s = self.way.duration_s
        return limit_s is not None and time.monotonic() > self._start_s + limit_s

    def _drop_old(self, max_age_s: float) -> None:
        now = time.monotonic()
        while len(self._waiting) > 1 and now - self._waiting[0][2] > max_age_s:
            self._waiting.popleft()
            self.drops += 1

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            self._read_all()
        except BaseException as error:
            self._error = error
        self._done.set()
        with self._changed:
            self._changed.notify_all()

    def _read_all(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stop.is_set():
            reached_s, why = self._last_s, ""
            try:
                self._read()
            except VideoError as error:
                if self.info is None:
                    raise
                why = str(error)
            if self._stop.is_set() or not (why or self.way.latest):
                return
            why = why or f"'{self._name}' ended"
            if not self.way.reconnect:
                logger.warning("after %.1f s %s; what came before counts", self._last_s, why)
                return
            if self._last_s > reached_s:
                delay_s = FIRST_DELAY_S
            logger.warning("%s: connecting again in %g s", why, delay_s)
            self._stop.wait(delay_s)
            delay_s = min(2 * delay_s, MAX_DELAY_S)

    def _read(self) -> None:
        """One connection, from its first frame to its last."""
        with self._connect() as (container, stream):
            self._opened.set()
            way = self._choose_way(container)
            if way.latest:
                stream.thread_type = "SLICE"  # threads that take whole frames hold some back
            stream.codec_context.thread_count = way.threads
            self._interval_s = interval_of(declared_frame_rate(stream))
            pictures = decoded_frames(container, stream, self._name, not way.latest, self._watch)
            first, first_s = next(pictures)
            now = time.monotonic()
            with self._changed:
                if self.info is None:
                    self._start_s, self.way = now, way
                    self.info = describe(container, stream, first, self._name)
                else:
                    self.reconnections += 1
            offset_s = now - self._start_s
            if not self._hand_over(first, first_s + offset_s):
                return
            for picture, time_s in pictures:
                if not self._hand_over(picture, time_s + offset_s):
                    return

    def _hand_over(self, picture: Picture, time_s: float) -> bool:
        """False once nobody takes frames any more."""
        self._last_s = time_s
        if self.way.paced:
            ahead_s = self._start_s + self._jumped_s + time_s - time.monotonic()
            if ahead_s > MAX_PAUSE_S:
                self._jumped_s -= ahead_s
            else:
                self._stop.wait(max(0.0, ahead_s))
        picture = self._with_capture(picture)
        with self._changed:
            if self.way.latest:
                while len(self._waiting) >= MAX_WAITING:
                    self._waiting.popleft()
                    self.drops += 1
            else:
                while len(self._waiting) >= AHEAD and not self._stop.is_set():
                    self._changed.wait(POLL_S)
            self._waiting.append((picture, time_s, time.monotonic()))
            self._changed.notify_all()
        return not self._stop.is_set()

    def _with_capture(self, picture: Picture) -> Picture:
        now, stamp_s = time.monotonic(), picture.frame.time
        if self.way.paced:  # from a source that does not send in segments it would have come only now
            return picture._replace(captured_s=now)
        if self.way.stamped and stamp_s is not None and 0 <= now - stamp_s < MAX_CAPTURE_S:
            self.clock = CAPTURE
            return picture._replace(captured_s=stamp_s)
        return picture


@contextlib.contextmanager
def open_reader(
    source: Address | Pipe,
    live: bool | None = None,
    reconnect: bool = False,
    duration_s: float | None = None,
    threads: int = 0,
    watch: Stopwatch | None = None,
) -> Iterator[FrameReader]:
    """Read an address or a pipe, and yield the reader once it has its first frame.

    ``live`` None detects it from the source; pipes, and addresses of whole files, give every frame in order.
    ``reconnect`` and ``duration_s`` apply to live sources only. Raises ``VideoError`` if no frame arrives
    within about the source's timeout, or none can be decoded.
    """

    def choose_way(container: Container) -> Way:
        has_end = not isinstance(source, Address) or not is_live(container, source)
        latest = not has_end if live is None else live
        if not latest:
            return Way(threads=threads)
        paced = container.format.name == "hls" or (has_end and isinstance(source, Address))
        return Way(latest, paced, reconnect, duration_s, threads)

    reader = FrameReader(lambda: open_video(source), str(source), choose_way, watch)
    try:
        # FFmpeg's own time-out counts once to connect and once to look at the streams.
        yield reader.start(2 * source.timeout_s + 1 if isinstance(source, Address) else None)
    finally:
        reader.close()
