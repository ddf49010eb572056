"""The worker's end of the pipe: one JSON request a line, one JSON answer a line, asleep in between.

Also runs in an environment without edgevid (``executorch_worker``), so it needs numpy alone.
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
    """A contestant that is ready to run. Each peer has a subclass with ``step``, ``logits`` and ``reset``.

    ``x`` is the input that ``step`` reads: the clip, or the frame of a stream.
    """

    version = ""
    kernels: dict[str, int] | None = None
    """How many temporal ops each of its kernels took, where the peer tells."""

    def __init__(self, clip: np.ndarray, streaming: bool) -> None:
        self.clip, self.streaming = clip, streaming
        self.x = np.ascontiguousarray(clip[:, 0] if streaming else clip).copy()

    def step(self) -> None:
        """One inference; a stream's states move on."""
        raise NotImplementedError

    def logits(self) -> np.ndarray:
        """What the last step answered."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to a stream's beginning."""

    def answer(self) -> np.ndarray:
        """Logits of the clip, or of each frame of it as a stream."""
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
    """``open`` (then the requests of ``Runner``), ``answer``, and ``turn``: the times of a few inferences."""
    opened: list[Runner] = []

    def open_(folder: str, **request: Any) -> dict[str, Any]:
        clip = np.load(Path(folder) / "input.npy")
        opened.append(open_runner(folder=Path(folder), clip=clip, **request))
        return {"version": opened[0].version, "kernels": opened[0].kernels}

    def answer() -> dict[str, Any]:
        return {"answer": np.asarray(opened[0].answer(), np.float64).tolist()}

    def turn(least_ms: float) -> dict[str, Any]:
        return {"samples_ms": time_turn(opened[0].step, least_ms)}

    return {"open": open_, "answer": answer, "turn": turn}


def time_turn(step: Callable[[], None], least_ms: float) -> list[float]:
    """Milliseconds of each inference until ``least_ms`` are full; the first is not counted (see package)."""
    step()
    samples: list[float] = []
    gc.collect()
    gc.disable()
    try:
        while sum(samples) < least_ms or not samples:
            start = time.perf_counter_ns()
            step()
            samples.append((time.perf_counter_ns() - start) / 1e6)
    finally:
        gc.enable()
    return samples


def serve(actions: Actions) -> int:
    """Answer requests ``{"do": action, ...}`` until the parent closes the pipe; returns the exit status."""
    # The parent decides what Ctrl-C means, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print what they like; answers alone may go where the parent reads.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        except Exception as error:  # whatever a runtime raises is this contestant's result
            answer = {"error": reason(error)}
        try:
            channel.write(json.dumps(answer) + "\n")
            channel.flush()
        except BrokenPipeError:
            return 1
    return 0


def reason(error: Exception) -> str:
    """One line: what happened, and for a missing package how to get it."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package '{error.name}' is not installed: pip install {error.name}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
