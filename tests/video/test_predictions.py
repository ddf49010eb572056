"""Predictions are the best classes in order; changes are reported once."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.video.predictions import Changes, softmax, top_predictions


def test_probabilities_sum_to_one_even_of_huge_logits():
    probabilities = softmax(np.array([[1e4, 0.0, -1e4], [1.0, 1.0, 1.0]], np.float32))
    np.testing.assert_allclose(probabilities, [[1, 0, 0], [1 / 3] * 3])


def test_the_best_classes_come_first_with_their_labels():
    best = top_predictions(np.array([0.0, 3.0, 1.0]), ["a", "b", "c"], top=2)
    assert [(p.index, p.label, p.logit) for p in best] == [(1, "b", 3.0), (2, "c", 1.0)]
    assert best[0].probability == pytest.approx(np.e**3 / (1 + np.e**3 + np.e))


def test_more_classes_than_there_are_gives_all():
    assert len(top_predictions(np.zeros(3), None, top=9)) == 3


def test_a_class_without_a_name_is_called_by_its_index():
    unnamed, beyond = top_predictions(np.array([0.0, 1.0]), ["only one"], top=2)
    assert (unnamed.label, unnamed.title) == (None, "class 1")
    assert (beyond.label, beyond.title) == ("only one", "only one")


def test_only_a_new_best_class_is_a_change():
    changes = Changes(["a", "b"], window=1)
    moments = [[1, 0], [2, 0], [0, 1], [0, 2], [1, 0]]
    new = [changes.update(t, np.array(logits, float)) for t, logits in enumerate(moments)]
    assert [c and (c.time_s, c.prediction.label) for c in new] == [(0, "a"), None, (2, "b"), None, (4, "a")]
    assert [c.time_s for c in changes.history] == [0, 2, 4]


def test_a_single_odd_frame_is_smoothed_away():
    moments = [[1, 0]] * 4 + [[0, 1]] + [[1, 0]] * 4
    for window, expected in ((4, 1), (1, 3)):
        changes = Changes(None, window)
        for t, logits in enumerate(moments):
            changes.update(t, np.array(logits, float))
        assert len(changes.history) == expected
