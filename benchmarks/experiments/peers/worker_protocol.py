"""The worker's side of the protocol: one JSON request and one JSON response per line; it sleeps in between.

It also runs in an environment without edgevid (``executorch_worker``), so it needs only numpy.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Actions = dict[str, Callable[..., dict[str, Any]]]


class Runner:
    """A candidate that is ready to run; each peer has a subclass with ``step``, ``logits`` and ``reset``.

    ``x`` is the input of ``step``: the clip, or a stream's frame.
    """

    version = ""
    kernels: dict[str, int] | None = None
    """The number of temporal ops that ran on each kernel; None if the peer does not report it."""

    def __init__(self, clip: np.ndarray, streaming: bool) -> None:
        self.clip, self.streaming = clip, streaming
        self.x = np.ascontiguousarray(clip[:, 0] if streaming else clip).copy()

    def step(self) -> None:
        """Run one inference; a stream's states advance."""
        raise NotImplementedError

    def logits(self) -> np.ndarray:
        """The output of the last step."""
        raise NotImplementedError

    def reset(self) -> None:
        """Reset a stream's states."""

    def output(self) -> np.ndarray:
        """Logits of the clip, or of each of its frames as a stream."""
        if not self.streaming:
            self.step()
            return np.array(self.logits())
        self.reset()
        rows = []
        for index in range(self.clip.shape[1]):
            self.x[...] = self.clip[:, index]
            self.step()
            rows.append(np.array(self.logits()))
        return np.concatenate(rows)


def runner_actions(open_runner: Callable[..., Runner]) -> Actions:
    """The actions ``open``, ``output`` (the logits) and ``turn`` (the times of a few inferences)."""
    runners: list[Runner] = []

    def open_(folder: str, **request: Any) -> dict[str, Any]:
        clip = np.load(Path(folder) / "input.npy")
        runners.append(open_runner(folder=Path(folder), clip=clip, **request))
        return {"version": runners[0].version, "kernels": runners[0].kernels}

    def output() -> dict[str, Any]:
        return {"output": np.asarray(runners[0].output(), np.float64).tolist()}

    def turn(min_ms: float) -> dict[str, Any]:
        return {"samples_ms": time_turn(runners[0].step, min_ms)}

    return {"open": open_, "output": output, "turn": turn}


def time_turn(step: Callable[[], None], min_ms: float) -> list[float]:
    """Milliseconds of each inference until they add up to ``min_ms``; the first is excluded (see package)."""
    step()
    samples: list[float] = []
    gc.collect()
    gc.disable()
    try:
        while sum(samples) < min_ms or not samples:
            start = time.perf_counter_ns()
            step()
            samples.append((time.perf_counter_ns() - start) / 1e6)
    finally:
        gc.enable()
    return samples


def serve(actions: Actions) -> int:
    """Serve requests ``{"action": name, ...}`` until the parent closes the pipe; returns the exit status."""
    # The parent handles Ctrl-C, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The parent reads responses only; whatever libraries print goes to stderr.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            response = actions[request.pop("action")](**request)
        except Exception as error:  # whatever a runtime raises is this candidate's result
            response = {"error": reason(error)}
        try:
            channel.write(json.dumps(response) + "\n")
            channel.flush()
        except BrokenPipeError:
            return 1
    return 0


def reason(error: Exception) -> str:
    """One line with the error and, for a missing package, the remedy."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package '{error.name}' is not installed: pip install {error.name}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
