"""The accuracy of networks on pairs of classes of which one is the other backwards."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.benchmarks.experiments.digits import confusion, order_accuracy, table
from edgevid.video.datasets.digits.activities import CLASSES


def label(name: str) -> int:
    return CLASSES.index(name)


def test_the_order_counts_only_where_the_pair_is_right():
    labels = np.array([label("grows"), label("grows"), label("shrinks"), label("moves_up")])
    predicted = np.array([label("grows"), label("shrinks"), label("shrinks"), label("grows")])
    assert order_accuracy(labels, predicted, CLASSES) == pytest.approx(2 / 3)
    assert order_accuracy(labels[3:], predicted[3:], CLASSES) is None


def test_the_confusion_has_true_classes_by_row():
    assert confusion(np.array([0, 0, 1]), np.array([1, 0, 1]), 2).tolist() == [[1, 1], [0, 1]]


def test_the_table_has_a_row_for_each_network():
    result = {
        "model": "tsm_mbv2",
        "parameters": 700_000,
        "training_s": 90.0,
        "top1": {"eager": 0.95, "fp32": 0.95, "int8": 0.94},
        "order": {"eager": None},
    }
    *_, row = table([result]).splitlines()
    assert row.split()[:6] == ["tsm_mbv2", "0.70", "M", "1.5", "min", "95.0"]
