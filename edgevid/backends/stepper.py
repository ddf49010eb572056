"""A stream's states in two alternating sets: each step reads one and writes the other, so none is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from edgevid.backends.protocol import Runner
    from edgevid.specs import StateSpec


class DoubleBuffer(Protocol):
    """A streaming model with its frame, its results, and two sets of its states, number 0 and 1.

    A runtime that allocates the states of each step itself holds the newest, and may ignore the number.
    """

    def write_frame(self, frame: np.ndarray) -> None: ...
    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None: ...

    def infer(self, number: int) -> None:
        """Run one inference on the frame and the states of set ``number``; the other set gets the results."""
        ...

    def results(self) -> dict[str, np.ndarray]:
        """Copies of the last inference's outputs that are not states."""
        ...


class ArrayBuffer:
    """The ``DoubleBuffer`` of a runtime that allocates its results, which the next step reads."""

    def __init__(self, runner: Runner, frame: str, states: Sequence[StateSpec]) -> None:
        self._runner, self._frame, self._states = runner, frame, states
        self._inputs: dict[str, np.ndarray] = {}
        self._results: dict[str, np.ndarray] = {}

    def write_frame(self, frame: np.ndarray) -> None:
        self._inputs[self._frame] = frame

    def write_state(self, number: int, state: StateSpec, value: np.ndarray) -> None:
        self._inputs[state.input] = value

    def infer(self, number: int) -> None:
        self._results = self._runner.run(self._inputs)
        self._inputs |= {state.input: self._results.pop(state.output) for state in self._states}

    def results(self) -> dict[str, np.ndarray]:
        return dict(self._results)


class DoubleBufferedStepper:
    """A ``Stepper`` over any ``DoubleBuffer``; every backend uses it."""

    def __init__(self, buffer: DoubleBuffer, states: Sequence[StateSpec]) -> None:
        self._buffer, self._states, self._number = buffer, states, 0
        self.reset()

    def push(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs after one more frame."""
        self._buffer.write_frame(frame)
        self.step()
        return self._buffer.results()

    def step(self) -> None:
        """Run one inference on the frame that was pushed last."""
        self._buffer.infer(self._number)
        self._number = 1 - self._number

    def reset(self) -> None:
        """Set each state to its value before the first frame."""
        for state in self._states:
            value = np.full(state.shape, state.initial, dtype=state.dtype)
            self._buffer.write_state(self._number, state, value)
