"""A measuring process whose inferences take longer by a known share: what a gate should find.

``python -m edgevid.benchmarks.regress.slowed SHARE`` is a worker of the harness; a SHARE of 0 adds nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from edgevid.benchmarks.harness.worker import main as run_worker


def slowed(
    step: Callable[[], None], share: float, clock: Callable[[], int] = time.perf_counter_ns
) -> Callable[[], None]:
    """``step``, and then a busy wait of ``share`` of the time that it took."""

    def run() -> None:
        start = clock()
        step()
        took = clock() - start
        end = start + took + round(took * share)
        while clock() < end:
            pass

    return run


class SlowedSession:
    """A session with slowed inferences."""

    def __init__(self, session: Any, share: float) -> None:
        self._session, self._share = session, share

    def prepare(self, array: Any = None) -> Callable[[], None]:
        return slowed(self._session.prepare(array), self._share)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def worker(share: float) -> tuple[str, ...]:
    """The command of a worker whose inferences take ``share`` longer."""
    return (sys.executable, "-m", "edgevid.benchmarks.regress.slowed", str(share))


def main(share: float) -> int:
    import edgevid

    return run_worker(lambda *args, **options: SlowedSession(edgevid.open(*args, **options), share))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
