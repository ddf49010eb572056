"""Overlap of stages: what comes before the network runs in a thread of its own, a few items ahead.

FFmpeg, the preprocessing kernel and the runtimes release Python's lock while they work, so a thread is
enough. The queue is bounded: a fast decoder waits for the network, and memory holds a few inputs only.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

from edgevid.video import READER_THREADS

DEPTH = 2
"""Items that wait at most: one would do if every stage took the same time for every frame."""

POLL_S = 0.2
"""How often a wait looks around: on Windows, Ctrl-C does not end one."""

T = TypeVar("T")


@contextlib.contextmanager
def ahead(items: Generator[T], depth: int = DEPTH) -> Iterator[Iterator[T]]:
    """Run a generator in another thread, and yield an iterator of its items in their order.

    At most ``depth`` items wait; then the generator does. What it raises is raised after the items that came
    before. When the block is left, at the end, by an error or by Ctrl-C, the generator is closed in its
    thread; if it hangs in FFmpeg, the thread is left behind.
    """
    stage = _Stage(items, depth)
    try:
        yield stage
    finally:
        stage.close()


def interruptible(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread and wait for it, for FFmpeg does not hear Ctrl-C while it waits for data."""
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=run, name=READER_THREADS, daemon=True).start()
    while not done.wait(POLL_S):
        pass
    if errors:
        raise errors[0]
    return results[0]


class _Stage(Generic[T]):
    """A thread that fills a bounded queue, and the iterator that empties it."""

    def __init__(self, items: Generator[T], depth: int) -> None:
        self._items, self._depth = items, depth
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = self._done = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=READER_THREADS, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            while not self._waiting and not self._done:
                self._changed.wait(POLL_S)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout=2 * POLL_S)

    def _run(self) -> None:
        try:
            with contextlib.closing(self._items) as items:
                for item in items:
                    if not self._put(item):
                        break
        except BaseException as error:
            self._error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Wait for room; False once nobody takes items any more."""
        with self._changed:
            while len(self._waiting) >= self._depth and not self._closed:
                self._changed.wait()
            self._waiting.append(item)
            self._changed.notify_all()
            return not self._closed
