"""The accuracy of networks on pairs of classes of which one is the other backwards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgevid.benchmarks.experiments.digits import confusion, order_accuracy, table
from edgevid.video.datasets.digits.activities import CLASSES

ROOT = Path(__file__).parents[3]
KEPT = json.loads((ROOT / "benchmarks/results/2026-11-28-digits-epyc-2-cores.json").read_text())["results"]


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


def test_the_document_has_the_figures_of_the_kept_run():
    rows = (ROOT / "docs/training.md").read_text("utf-8").splitlines()
    for result in KEPT:
        (shown,) = [row for row in rows if re.match(rf"\| {result['model']}\b.* M \|", row)]
        top1 = [f"{100 * result['top1'][key]:.1f} %" for key in ("eager", "fp32", "int8")]
        order = f"{100 * result['order']['eager']:.1f} %"
        minutes = f"{result['training_s'] / 60:.1f} min"
        assert [cell.strip() for cell in shown.strip("|").split("|")][2:] == [minutes, *top1, order]


@pytest.mark.parametrize("result", KEPT, ids=lambda result: result["model"])
def test_only_the_network_without_time_is_at_chance_in_the_kept_run(result):
    order, top1 = result["order"]["eager"], result["top1"]
    assert 0.45 < order < 0.55 if result["model"] == "tsn_mbv2" else order > 0.9
    assert abs(top1["fp32"] - top1["eager"]) <= 0.005 and abs(top1["int8"] - top1["eager"]) <= 0.01
    assert result["training_s"] < 600
