"""Stages overlap: the same items in the same order, back-pressure, and a clean end whatever happens."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
from fake_session import FakeSession

from edgevid.video import READER_THREADS
from edgevid.video.decode import read_frames
from edgevid.video.pipeline import ahead
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.recognize import Follower
from edgevid.video.sampling import frames_at_rate
from edgevid.video.stopwatch import Stopwatch


class Source:
    """A generator of numbers that notes what was taken from it and in which thread it was closed."""

    def __init__(self, count: int | None = None, error: BaseException | None = None) -> None:
        self.taken = 0
        self.closed_in: threading.Thread | None = None
        self._count, self._error = count, error

    def items(self):
        try:
            for number in itertools.count() if self._count is None else range(self._count):
                self.taken += 1
                yield number
            if self._error is not None:
                raise self._error
        finally:
            self.closed_in = threading.current_thread()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(READER_THREADS)]


def settles(condition) -> bool:
    end_s = time.monotonic() + 10
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_item_comes_once_and_in_order(count, depth):
    with ahead(Source(count).items(), depth) as items:
        assert list(items) == list(range(count))
        assert list(items) == []
    assert settles(lambda: not threads())


def test_a_fast_source_waits_for_a_slow_consumer():
    source = Source()
    with ahead(source.items(), depth=3) as items:
        assert [next(items), next(items)] == [0, 1]
        assert settles(lambda: source.taken == 2 + 3 + 1)
        time.sleep(0.05)
        assert source.taken == 2 + 3 + 1, "those that were taken, those that wait, and one in the hand"


def test_source_and_consumer_work_at_the_same_time():
    here, there = threading.Event(), threading.Event()

    def items():
        yield 0
        there.set()
        assert here.wait(10)
        yield 1

    with ahead(items()) as numbers:
        assert next(numbers) == 0
        assert there.wait(10), "the source goes on while item 0 is in use"
        here.set()
        assert list(numbers) == [1]


def test_an_error_comes_after_the_items_before_it():
    with ahead(Source(5, OSError("broken")).items()) as items:
        assert list(itertools.islice(items, 5)) == [0, 1, 2, 3, 4]
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                next(items)
    assert settles(lambda: not threads())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_consumer_that_leaves_closes_the_source_in_its_own_thread(error):
    source = Source()
    with pytest.raises(error), ahead(source.items()) as items:
        next(items)
        raise error
    assert settles(lambda: not threads())
    assert source.closed_in is not None and source.closed_in is not threading.current_thread()


def test_a_source_that_hangs_does_not_hold_up_the_end():
    forever = threading.Event()

    def items():
        yield 0
        forever.wait()

    start_s = time.monotonic()
    with ahead(items()) as numbers:
        next(numbers)
    assert time.monotonic() - start_s < 5
    forever.set()
    assert settles(lambda: not threads())


def noise(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fps", [None, 7, 30])
def test_the_network_sees_the_same_bits_with_overlap_and_without(write_video, fps, live):
    path = write_video(images=noise(20))
    session = FakeSession(streaming=True)
    frames = read_frames(path) if fps is None else frames_at_rate(read_frames(path), fps)
    list(Follower(session, Stopwatch()).follow(frames, live))
    serial, preprocess = [], FramePreprocessor(session.manifest.preprocessing)
    for frame in read_frames(path) if fps is None else frames_at_rate(read_frames(path), fps):
        serial.append(preprocess(frame.picture)[None])
    np.testing.assert_array_equal(session.shown, serial)


def test_frames_that_repeat_are_preprocessed_once(write_video, monkeypatch):
    calls, preprocess = [], FramePreprocessor.__call__
    monkeypatch.setattr(
        FramePreprocessor, "__call__", lambda self, *args: calls.append(1) or preprocess(self, *args)
    )
    session = FakeSession(streaming=True)
    frames = frames_at_rate(read_frames(write_video(frames=12, fps=12)), 36)
    list(Follower(session, Stopwatch()).follow(frames))
    assert (len(calls), len(session.shown)) == (12, 36)


def test_stages_that_overlap_are_busy_for_longer_than_the_wall(write_video, monkeypatch):
    preprocess = FramePreprocessor.__call__

    def slowly(self, *args):
        time.sleep(0.02)
        return preprocess(self, *args)

    monkeypatch.setattr(FramePreprocessor, "__call__", slowly)
    session = FakeSession(streaming=True)
    session.delay_s = 0.02
    follower = Follower(session, Stopwatch())
    list(follower.follow(read_frames(write_video(frames=24))))
    times = follower.watch.times_ms()
    assert times["preprocessing"] >= 24 * 20 and times["inference"] >= 24 * 20
    assert times["total"] == pytest.approx(sum(times[s] for s in ("decoding", "preprocessing", "inference")))
    assert times["wall"] < times["total"]


def test_an_unreadable_picture_in_the_middle_stops_the_run(write_video, monkeypatch):
    preprocess, calls = FramePreprocessor.__call__, []

    def fails(self, *args):
        calls.append(1)
        if len(calls) == 6:
            raise ValueError("pixels")
        return preprocess(self, *args)

    monkeypatch.setattr(FramePreprocessor, "__call__", fails)
    session = FakeSession(streaming=True)
    with pytest.raises(ValueError, match="pixels"):
        list(Follower(session, Stopwatch()).follow(read_frames(write_video(frames=12))))
    assert len(session.shown) == 5, "what came before was seen"
    assert settles(lambda: not threads())
