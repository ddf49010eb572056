"""The result of an evaluation: a dict, which is the JSON of ``edgevid eval``, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevid.benchmarks.evaluation.evaluate import Evaluation
from edgevid.benchmarks.evaluation.labels import order_remark
from edgevid.benchmarks.evaluation.metrics import (
    TOP,
    calibration_interval,
    confusion_matrix,
    expected_calibration_error,
    hits,
    mean_class_accuracy,
    mean_class_interval,
    wilson_interval,
)
from edgevid.benchmarks.evaluation.records import Record, Skipped
from edgevid.benchmarks.evaluation.views import FRACTIONS
from edgevid.errors import BenchmarkError
from edgevid.video.datasets import Dataset

WORST = 3
"""Pairs of classes in the text."""

FIGURES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class_accuracy": "mean of classes",
    "expected_calibration_error": "calibration error",
}
"""What the text has with its interval."""


def figures(records: Sequence[Record], skipped: Sequence[Skipped], dataset: Dataset) -> dict[str, Any]:
    """What is computed from the predictions; those of skipped videos are not in any denominator.

    ``BenchmarkError`` if every video was skipped.
    """
    if not records:
        why = f", the first because {skipped[0].why}" if skipped else ""
        raise BenchmarkError(f"none of the {len(skipped)} videos of '{dataset.name}' could be read{why}")
    labels = np.array([record.label for record in records])
    predicted = np.array([record.predicted for record in records])
    best = np.array([record.best for record in records])
    confusion = confusion_matrix(predicted, labels, len(dataset.classes))
    correct, among_five = hits(best, labels, 1), hits(best, labels, TOP)
    confidences = np.array([record.scores[0] for record in records])
    return {
        "videos": len(records),
        "skipped": [{"file": each.file, "why": each.why} for each in skipped],
        "top1": float(correct.mean()),
        "top5": float(among_five.mean()),
        "mean_class_accuracy": mean_class_accuracy(confusion),
        "top1_interval": _interval(correct),
        "top5_interval": _interval(among_five),
        "mean_class_accuracy_interval": list(mean_class_interval(confusion)),
        "expected_calibration_error": expected_calibration_error(confidences, correct),
        "expected_calibration_error_interval": list(calibration_interval(confidences, correct)),
        **_online(records, labels),
        **_early(records, labels),
        "confusion": confusion.tolist(),
        "classes": list(dataset.classes),
    }


def remarks_on_order(records: Sequence[Record], dataset: Dataset, evaluation: Evaluation) -> list[str]:
    """What the order of the classes did, where the data set has two and the network was trained in one."""
    other = dataset.other_order
    if other is None or dataset.order is None or other.order is None:
        return []
    labels = np.array([record.label for record in records])
    outputs = evaluation.outputs[np.array([record.best[0] for record in records])]
    place = np.array([other.classes.index(name) for name in dataset.classes])
    accuracy = float(np.mean([record.best[0] == record.label for record in records]))
    by_order = {
        dataset.order: float((outputs == labels).mean()),
        other.order: float((outputs == place[labels]).mean()),
    }
    remark = order_remark(accuracy, by_order, len(dataset.classes), evaluation.session.labels is not None)
    return [remark] if remark else []


def _interval(correct: np.ndarray) -> list[float]:
    return list(wilson_interval(int(correct.sum()), len(correct)))


def _online(records: Sequence[Record], labels: np.ndarray) -> dict[str, Any]:
    if not records[0].online:
        return {}
    best = np.array([record.online for record in records])
    correct = hits(best, labels, 1)
    return {
        "online": {
            "top1": float(correct.mean()),
            "top5": float(hits(best, labels, TOP).mean()),
            "top1_interval": _interval(correct),
        }
    }


def _early(records: Sequence[Record], labels: np.ndarray) -> dict[str, Any]:
    if not records[0].early:
        return {}
    correct = np.array([record.early for record in records]) == labels[:, None]
    return {
        "early": [
            {"fraction": fraction, "top1": float(column.mean()), "top1_interval": _interval(column)}
            for fraction, column in zip(FRACTIONS, correct.T)
        ]
    }


def text(result: dict[str, Any]) -> str:
    lines = [
        f"{result['bundle']} on {result['dataset']}: {result['videos']} videos, "
        f"{len(result['skipped'])} skipped, protocol {result['protocol']}, {result['seconds']:.1f} s",
        ", ".join(f"{name} {_with_interval(result, key)}" for key, name in FIGURES.items()),
    ]
    if online := result.get("online"):
        top1 = _with_interval(online, "top1")
        lines.append(f"every frame streamed: top-1 {top1}, top-5 {online['top5']:.2%}")
    if early := result.get("early"):
        lines.append(
            "top-1 by frames seen: "
            + ", ".join(f"{each['fraction']:.0%} {each['top1']:.1%}" for each in early)
        )
    if confused := _most_confused(result["confusion"], result["classes"]):
        lines.append("most confused: " + "; ".join(confused))
    lines += [f"skipped: {each['why']}" for each in result["skipped"]]
    lines += [f"note: {remark}" for remark in result["remarks"]]
    return "\n".join(lines)


def _with_interval(result: dict[str, Any], key: str) -> str:
    low, high = result[f"{key}_interval"]
    return f"{result[key]:.2%} [{low:.2%}, {high:.2%}]"


def _most_confused(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:WORST]
    pairs = [(*np.unravel_index(number, counts.shape), counts.flat[number]) for number in order]
    return [f"{classes[true]} as {classes[wrong]} ({count})" for true, wrong, count in pairs if count]
