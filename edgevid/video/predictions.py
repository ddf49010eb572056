"""From logits to what a person reads: the best classes, and when the best one changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def title(index: int, label: str | None) -> str:
    """A class's label, or its index where there is none."""
    return f"class {index}" if label is None else label


@dataclass(frozen=True)
class Prediction:
    """A class and how sure the network is; ``label`` is None if the bundle has no name for it."""

    index: int
    label: str | None
    probability: float
    logit: float

    @property
    def title(self) -> str:
        """The label, or the index where there is none."""
        return title(self.index, self.label)


@dataclass(frozen=True)
class Change:
    """From ``time_s`` seconds on, ``prediction`` is the best one."""

    time_s: float
    prediction: Prediction


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64, of logits of any shape; the classes are the last axis."""
    logits = np.asarray(logits, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def top_predictions(logits: np.ndarray, labels: Sequence[str] | None, top: int) -> list[Prediction]:
    """The ``top`` best classes, best first, of logits of shape (classes,); fewer if there are fewer."""
    probabilities = softmax(logits)
    best = np.argsort(-probabilities, kind="stable")[:top]
    return [
        Prediction(
            index=int(i),
            label=labels[i] if labels is not None and i < len(labels) else None,
            probability=float(probabilities[i]),
            logit=float(logits[i]),
        )
        for i in best
    ]


class Changes:
    """Follows the best class over time, on the mean of the last ``window`` logits to avoid flicker.

    ``history`` holds every change so far; the first prediction is one.
    """

    def __init__(self, labels: Sequence[str] | None, window: int) -> None:
        self.history: list[Change] = []
        self._labels = labels
        self._recent: deque[np.ndarray] = deque(maxlen=window)

    @property
    def smoothed(self) -> np.ndarray:
        """The mean of the last logits, shape (classes,)."""
        return np.mean(self._recent, axis=0)

    def update(self, time_s: float, logits: np.ndarray) -> Change | None:
        """Take the logits, shape (classes,), of one moment; give the change that they make, if any."""
        self._recent.append(logits)
        best = top_predictions(self.smoothed, self._labels, top=1)[0]
        if self.history and self.history[-1].prediction.index == best.index:
            return None
        self.history.append(Change(time_s, best))
        return self.history[-1]
