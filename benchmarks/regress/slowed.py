"""A measuring process whose inferences take longer by a known share: what a gate should find.

``python -m edgevid.benchmarks.regress.slowed SHARE`` is a worker of the harness; a SHARE of 0 adds nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from edgevid.benchmarks.harness import worker


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


def main(share: float) -> int:
    import edgevid

    return worker.main(lambda *args, **options: SlowedSession(edgevid.open(*args, **options), share))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
