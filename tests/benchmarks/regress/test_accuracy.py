"""Accuracy in the gate: what is decided from the videos that one of the two bundles has right alone."""

from __future__ import annotations

import pytest

from edgevid.benchmarks.regress.accuracy import accuracy_metric, with_metric


def metric(both: int, lost: int, won: int, threshold: float = 0.03):
    pairs = [(True, True)] * both + [(True, False)] * lost + [(False, True)] * won
    before = {str(number): pair[0] for number, pair in enumerate(pairs)}
    after = {str(number): pair[1] for number, pair in enumerate(pairs)}
    return accuracy_metric(before, after, threshold)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ((90, 10, 0), "regression"),
        ((90, 0, 10), "improvement"),
        ((1000, 3, 4), "pass"),
        ((90, 6, 0), "inconclusive"),  # 1 in 64: more than one in a hundred
        ((93, 7, 0), "regression"),  # 1 in 128
        ((20, 0, 0), "inconclusive"),
        ((300, 0, 0), "pass"),
        ((1000, 60, 55), "pass"),
    ],
)
def test_the_verdict_is_that_of_the_videos_that_differ(counts, verdict):
    assert metric(*counts)["verdict"] == verdict


def test_the_accuracies_are_of_the_videos_that_both_have():
    before = {"a": True, "b": False, "only here": True}
    result = accuracy_metric(before, {"a": True, "b": True}, 0.03)
    assert (result["baseline"], result["candidate"], result["videos"]) == (0.5, 1.0, 2)


def test_the_smallest_loss_that_would_have_been_seen_is_in_shares_of_the_videos():
    assert metric(100, 0, 0)["smallest_effect"] == pytest.approx(0.07), "7 of 7 tosses"
    assert metric(900, 50, 50)["smallest_effect"] == pytest.approx(0.026, abs=0.003), "63 of 100"


def test_a_loss_of_accuracy_is_a_regression_of_the_whole():
    passed = {"verdict": "pass", "why": "", "metrics": []}
    whole = with_metric(passed, metric(90, 10, 0))
    assert whole["verdict"] == "regression" and whole["metrics"][-1]["name"] == "accuracy_top1"
    assert with_metric(passed, metric(20, 0, 0))["verdict"] == "pass"


def test_one_test_of_several_needs_more_losses():
    videos = [str(number) for number in range(500)]
    before = dict.fromkeys(videos, True)
    after = {video: number >= 7 for number, video in enumerate(videos)}
    assert accuracy_metric(before, after, 0.03)["verdict"] == "regression"
    assert accuracy_metric(before, after, 0.03, tests=4)["verdict"] == "pass"
