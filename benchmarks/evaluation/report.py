"""The result of an evaluation: a dict, which is the JSON of ``edgevid eval``, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevid.benchmarks.evaluation.evaluate import Evaluation
from edgevid.benchmarks.evaluation.labels import order_remark
from edgevid.benchmarks.evaluation.metrics import (
    TOP,
    confusion_matrix,
    expected_calibration_error,
    hits,
    mean_class_accuracy,
    wilson_interval,
)
from edgevid.benchmarks.evaluation.records import Record, Skipped
from edgevid.benchmarks.evaluation.views import FRACTIONS
from edgevid.errors import BenchmarkError
from edgevid.video.datasets import Dataset

WORST = 3
"""Pairs of classes in the text."""


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
    correct = hits(best, labels, 1)
    return {
        "videos": len(records),
        "skipped": [{"file": each.file, "why": each.why} for each in skipped],
        "top1": float(correct.mean()),
        "top5": float(hits(best, labels, TOP).mean()),
        "mean_class_accuracy": mean_class_accuracy(confusion),
        "top1_interval": list(wilson_interval(int(correct.sum()), len(records))),
        "expected_calibration_error": expected_calibration_error(
            np.array([record.scores[0] for record in records]), correct
        ),
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


def _online(records: Sequence[Record], labels: np.ndarray) -> dict[str, Any]:
    if not records[0].online:
        return {}
    best = np.array([record.online for record in records])
    correct = hits(best, labels, 1)
    return {
        "online": {
            "top1": float(correct.mean()),
            "top5": float(hits(best, labels, TOP).mean()),
            "top1_interval": list(wilson_interval(int(correct.sum()), len(records))),
        }
    }


def _early(records: Sequence[Record], labels: np.ndarray) -> dict[str, Any]:
    if not records[0].early:
        return {}
    correct = np.array([record.early for record in records]) == labels[:, None]
    return {
        "early": [
            {"fraction": fraction, "top1": float(column.mean())}
            for fraction, column in zip(FRACTIONS, correct.T)
        ]
    }


def text(result: dict[str, Any]) -> str:
    low, high = result["top1_interval"]
    lines = [
        f"{result['bundle']} on {result['dataset']}: {result['videos']} videos, "
        f"{len(result['skipped'])} skipped, protocol {result['protocol']}, {result['seconds']:.1f} s",
        f"top-1 {result['top1']:.2%} [{low:.2%}, {high:.2%}], top-5 {result['top5']:.2%}, "
        f"mean of classes {result['mean_class_accuracy']:.2%}, "
        f"calibration error {result['expected_calibration_error']:.2%}",
    ]
    if online := result.get("online"):
        low, high = online["top1_interval"]
        lines.append(
            f"every frame streamed: top-1 {online['top1']:.2%} [{low:.2%}, {high:.2%}], "
            f"top-5 {online['top5']:.2%}"
        )
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


def _most_confused(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[str]:
    counts = np.array(confusion)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:WORST]
    pairs = [(*np.unravel_index(number, counts.shape), counts.flat[number]) for number in order]
    return [f"{classes[true]} as {classes[wrong]} ({count})" for true, wrong, count in pairs if count]
