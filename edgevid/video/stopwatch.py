"""How long each stage of the work was busy, and how long a user waited."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

STAGES = ("decoding", "preprocessing", "inference")

T = TypeVar("T")


class Stopwatch:
    """Adds up each stage's own busy time, in milliseconds, and the wall time since its creation.

    Stages that run in different threads at the same time are measured each by itself, so their sum may be
    more than the wall time. A stage is measured by one thread at a time.
    """

    def __init__(self) -> None:
        self.ms = dict.fromkeys(STAGES, 0.0)
        self._start_s = time.perf_counter()

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.ms[stage] += 1e3 * (time.perf_counter() - start_s)

    def measuring(self, stage: str, items: Iterable[T]) -> Generator[T]:
        """Pass items through, and measure how long each takes to come."""
        iterator = iter(items)
        while True:
            with self.measure(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def times_ms(self) -> dict[str, float]:
        """The stages, their sum as ``total``, and ``wall``: from the creation until now."""
        wall_ms = 1e3 * (time.perf_counter() - self._start_s)
        return {**self.ms, "total": sum(self.ms.values()), "wall": wall_ms}
