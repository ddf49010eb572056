"""What MMAction2 1.x means by its accuracies (``mmaction/evaluation/functional/accuracy.py``), said again."""

from __future__ import annotations

import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of labels among the last k in ascending order of the scores; ties as in a stable order."""
    order = np.argsort(scores, axis=1, kind="stable")
    return float(np.mean([label in row[-k:] for row, label in zip(order, labels)]))


def mean_class_accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean recall over the classes that are labels or predictions; 0 for those that are no label."""
    predicted = np.argmax(scores, axis=1)
    recalls = []
    for name in sorted(set(predicted) | set(labels)):
        of_class = labels == name
        recalls.append(np.mean(predicted[of_class] == name) if of_class.any() else 0.0)
    return float(np.mean(recalls))
