"""The figures are those of MMAction2's own functions, and of hand calculations."""

from __future__ import annotations

import numpy as np
import pytest
from accuracy_of_mmaction2 import mean_class_accuracy as mean_class_accuracy_of_mmaction2
from accuracy_of_mmaction2 import top_k_accuracy as top_k_accuracy_of_mmaction2
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevid.benchmarks.evaluation.metrics import (
    best_classes,
    calibration_interval,
    confusion_matrix,
    expected_calibration_error,
    hits,
    mean_class_accuracy,
    mean_class_interval,
    wilson_interval,
)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    videos=st.integers(1, 40),
    classes=st.integers(1, 9),
    levels=st.integers(2, 50),
)
def test_accuracies_are_those_of_mmaction2(seed, videos, classes, levels):
    """Few levels make ties, few videos leave classes without any."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, levels, (videos, classes)) / levels
    labels = random.integers(0, classes, videos)
    best = best_classes(scores)
    confusion = confusion_matrix(np.argmax(scores, axis=1), labels, classes)
    for count in (1, 5):
        assert hits(best, labels, count).mean() == top_k_accuracy_of_mmaction2(scores, labels, count)
    assert mean_class_accuracy(confusion) == pytest.approx(mean_class_accuracy_of_mmaction2(scores, labels))


def test_a_class_without_a_video_that_is_predicted_lowers_the_mean():
    confusion = confusion_matrix(np.array([0, 2, 1]), np.array([0, 0, 1]), 4)
    assert confusion.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mean_class_accuracy(confusion) == pytest.approx((0.5 + 1 + 0) / 3)


def test_of_two_equal_scores_the_higher_class_is_the_better_one():
    assert best_classes(np.array([0.2, 0.3, 0.3, 0.1, 0.1])).tolist() == [2, 1, 0, 4, 3]


@pytest.mark.parametrize(
    "hits, total, low, high", [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (50, 100, 0.4038, 0.5962)]
)
def test_the_interval_is_wilsons(hits, total, low, high):
    assert wilson_interval(hits, total) == pytest.approx((low, high), abs=1e-4)


def test_calibration_weighs_the_gap_of_each_bin_by_its_videos():
    """Two videos in the bin around 0.7 of which one is right, and one that is sure and right."""
    error = expected_calibration_error(np.array([0.68, 0.72, 1.0]), np.array([True, False, True]))
    assert error == pytest.approx((2 * abs(0.5 - 0.7) + 0) / 3)


def test_a_bin_is_closed_above():
    """0.2 is 3/15: with 0.19 it makes one bin of accuracy 1/2; a bin closed below would part them."""
    assert expected_calibration_error(np.array([0.19, 0.2]), np.array([True, False])) == pytest.approx(0.305)


def test_of_one_class_the_interval_of_the_mean_is_wilsons():
    assert mean_class_interval(np.array([[8, 2], [0, 0]])) == pytest.approx(
        (0.4902 / 2, 0.9433 / 2), abs=1e-4
    )


def test_more_classes_make_the_interval_of_the_mean_narrower():
    low, high = mean_class_interval(np.array([[8, 2], [2, 8]]))
    assert (low, high) == pytest.approx((0.8 - 0.3098 / 2**0.5, 0.8 + 0.1433 / 2**0.5), abs=1e-4)


@pytest.mark.parametrize("kind", ["mean of the classes", "calibration"])
def test_intervals_hold_the_true_value_in_95_of_100_trials(kind):
    """Confidences in the middle of three bins, whose accuracies are 0.1 lower: a true error of 0.1."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        labels = random.integers(0, 3, 240)
        confidences = np.array([0.5, 0.7, 0.9])[labels]
        correct = random.random(240) < confidences - 0.1
        if kind == "calibration":
            low, high = calibration_interval(confidences, correct)
            held += low <= 0.1 <= high
        else:
            predicted = np.where(correct, labels, (labels + 1) % 3)
            low, high = mean_class_interval(confusion_matrix(predicted, labels, 3))
            held += low <= 0.6 <= high
    assert 0.93 <= held / 400 <= 0.99
