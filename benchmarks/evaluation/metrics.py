"""Accuracy, its interval, and calibration, from what was predicted for each video.

Top-k and mean class accuracy are those of MMAction2 (``mmaction/evaluation/functional/accuracy.py``): of
equal scores the class with the higher index comes first for top-k, the one with the lower index is what the
confusion matrix counts; and a class that was predicted but has no video counts as 0 in the mean over classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

TOP = 5
BINS = 15
NORMAL_QUANTILE = 1.959963984540054
"""For a two-sided interval of 95 %."""


def best_classes(probabilities: np.ndarray, count: int = TOP) -> np.ndarray:
    """Indices of the ``count`` best classes, best first, of probabilities (..., classes)."""
    return np.argsort(probabilities, axis=-1, kind="stable")[..., -count:][..., ::-1]


def hits(best: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Whether each label (videos,) is among the first ``count`` of ``best`` (videos, classes)."""
    return (best[:, :count] == labels[:, None]).any(axis=1)


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): rows are the true classes, columns the predicted ones."""
    counts = np.bincount(classes * labels + predicted, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def mean_class_accuracy(confusion: np.ndarray) -> float:
    """The mean over the classes that have a video or a prediction."""
    videos, predictions = confusion.sum(axis=1), confusion.sum(axis=0)
    accuracy = np.diag(confusion) / np.maximum(videos, 1)
    return float(np.mean(accuracy[(videos > 0) | (predictions > 0)]))


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson, "Probable inference", JASA 1927)."""
    z = NORMAL_QUANTILE
    share = hits / total
    center = share + z * z / (2 * total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low, high = (center - reach) / (1 + z * z / total), (center + reach) / (1 + z * z / total)
    return max(0.0, low), min(1.0, high)


def mean_class_interval(confusion: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of ``mean_class_accuracy``, from those of the classes that have videos."""
    videos, predictions = confusion.sum(axis=1), confusion.sum(axis=0)
    ranges = [(right / n, *wilson_interval(right, n)) for right, n in zip(np.diag(confusion), videos) if n]
    return _interval_of_sum(ranges, np.ones(len(ranges)) / ((videos > 0) | (predictions > 0)).sum())


def expected_calibration_error(confidences: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """The mean over videos of |accuracy - confidence| of their bin.

    Guo et al., "On calibration of modern neural networks" (ICML 2017): bins of equal width, closed above.
    ``confidences`` are the highest probabilities, ``correct`` whether those classes are right: (videos,).
    """
    gaps = np.bincount(_bin(confidences, bins), correct.astype(np.float64) - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))


def calibration_interval(
    confidences: np.ndarray, correct: np.ndarray, bins: int = BINS
) -> tuple[float, float]:
    """The 95 % interval of ``expected_calibration_error``, from those of the accuracies of its bins.

    With few videos the error comes out too large: chance alone parts accuracy and confidence.
    """
    number = _bin(confidences, bins)
    ranges, shares = [], []
    for each in np.unique(number):
        inside = number == each
        right, total = int(correct[inside].sum()), int(inside.sum())
        mean = float(confidences[inside].mean())
        low, high = wilson_interval(right, total)
        ranges.append(
            (abs(right / total - mean), max(0.0, low - mean, mean - high), max(high - mean, mean - low))
        )
        shares.append(total / len(confidences))
    return _interval_of_sum(ranges, np.array(shares))


def _bin(confidences: np.ndarray, bins: int) -> np.ndarray:
    return np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1)


def _interval_of_sum(
    ranges: Sequence[tuple[float, float, float]], weights: np.ndarray
) -> tuple[float, float]:
    """The interval of a weighted sum, from each term's value and the ends of its own interval.

    Zou and Donner, "Construction of confidence limits about effect measures" (Statistics in Medicine 2008);
    for shares, as all here are.
    """
    value, low, high = np.array(ranges).T
    total = weights @ value
    below, above = (float(np.sqrt((weights**2) @ (value - end) ** 2)) for end in (low, high))
    return max(0.0, float(total) - below), min(1.0, float(total) + above)
