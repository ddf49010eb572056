"""The process that runs one candidate: ``python -m edgevid.benchmarks.experiments.peers.worker``."""

from __future__ import annotations

import sys
from typing import Any

from edgevid.benchmarks.experiments.peers.worker_protocol import Runner, runner_actions, serve


def open_runner(peer: str, **request: Any) -> Runner:
    from edgevid.benchmarks.experiments.peers.runners import RUNNERS

    return RUNNERS[peer](**request)


if __name__ == "__main__":
    sys.exit(serve(runner_actions(open_runner)))
