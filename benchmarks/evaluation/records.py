"""What was predicted for one video, in the files that others can read: JSON lines and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevid.benchmarks.evaluation.metrics import best_classes


@dataclass(frozen=True)
class Record:
    """Classes are indices into the data set's.

    ``best`` are the five best classes, best first, ``scores`` their probabilities. ``predicted`` is the first
    class with the highest probability. ``online`` are the five best after every frame was streamed; ``early``
    is the best class after each of :data:`~edgevid.benchmarks.evaluation.views.FRACTIONS` of the frames.
    """

    video: str
    label: int
    predicted: int
    best: tuple[int, ...]
    scores: tuple[float, ...]
    online: tuple[int, ...] = ()
    early: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        optional = {"online": list(self.online), "early": list(self.early)}
        return {
            "video": self.video,
            "label": self.label,
            "predicted": self.predicted,
            "best": list(self.best),
            "scores": list(self.scores),
            **{name: value for name, value in optional.items() if value},
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Record:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError`` if a value is missing or of another type."""
        best, online, early = (tuple(map(int, values.get(key, ()))) for key in ("best", "online", "early"))
        scores = tuple(map(float, values["scores"]))
        return Record(
            str(values["video"]), int(values["label"]), int(values["predicted"]), best, scores, online, early
        )


@dataclass(frozen=True)
class Skipped:
    """A video that could not be read, and why."""

    video: str
    file: str
    why: str


def record_of(
    video: str, label: int, probabilities: np.ndarray, online: np.ndarray, early: np.ndarray
) -> Record:
    """From probabilities (classes,)."""
    best = best_classes(probabilities)
    return Record(
        video=video,
        label=label,
        predicted=int(np.argmax(probabilities)),
        best=tuple(map(int, best)),
        scores=tuple(map(float, probabilities[best])),
        online=tuple(map(int, online)),
        early=tuple(map(int, early)),
    )


def prediction_file(path: Path, records: Sequence[Record], classes: Sequence[str]) -> str:
    """The text of a file at ``path``: CSV if its name ends so, else JSON lines.

    Columns or keys: video, label, predicted (indices of classes), label_name, predicted_name, and the five
    best classes with their probabilities: ``best`` and ``scores``, in CSV class_1, score_1 to score_5.
    """
    if path.suffix.lower() != ".csv":
        lines = (json.dumps({**record.to_dict(), **_names(record, classes)}) for record in records)
        return "".join(f"{line}\n" for line in lines)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    top = range(1, 1 + max(len(record.best) for record in records))
    ranks = [name for rank in top for name in (f"class_{rank}", f"score_{rank}")]
    writer.writerow(["video", "label", "label_name", "predicted", "predicted_name", *ranks])
    for record in records:
        names = _names(record, classes)
        ranked = [value for pair in zip(record.best, record.scores) for value in pair]
        writer.writerow(
            [
                record.video,
                record.label,
                names["label_name"],
                record.predicted,
                names["predicted_name"],
                *ranked,
            ]
        )
    return text.getvalue()


def _names(record: Record, classes: Sequence[str]) -> dict[str, str]:
    return {"label_name": classes[record.label], "predicted_name": classes[record.predicted]}
