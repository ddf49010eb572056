"""Points, and which of them are on the Pareto front."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from one_bundle import CLIP, STREAM
from one_comparison import DISTURBED, ENVIRONMENT, point, process

from edgevid.benchmarks.compare.points import fronts, labels, mark_pareto, point_of


def on_front(*points) -> list[str]:
    mark_pareto(points)
    return [item["model"] for item in points if item["pareto"]]


def test_a_point_is_the_median_of_its_processes_and_keeps_their_samples():
    results = [process(ms) for ms in (10, 12, 11, 13, 9, 14)]
    result = point_of("tiny.cpu", CLIP, results, "measured")
    assert result["latency_ms"] == {"p50": 11.5, "interval": [9, 14], "confidence": 0.96875, "per": "clip"}
    assert (result["model"], result["frames"], result["size"]) == ("tiny", 4, 64)
    assert result["energy_mj_per_clip"] is None and result["why_no_power"] == "no sensor was found"
    assert [one["samples_ms"] for one in result["processes"]] == [one["samples_ms"] for one in results]


def test_a_disturbed_process_is_counted_and_does_not_count():
    noisy = process(99, environment={**ENVIRONMENT, "during": DISTURBED})
    result = point_of("tiny.cpu", CLIP, [process(10), noisy, process(12)], "measured")
    assert result["latency_ms"]["p50"] == 11 and result["disturbed_processes"] == 1


def test_a_latency_of_a_stream_is_that_of_a_frame():
    assert point_of("tiny.cpu", STREAM, [process(10)], "store")["latency_ms"]["per"] == "frame"


def test_the_front_has_what_no_other_beats():
    points = [
        point("fast", 5, 0.6),
        point("slow", 50, 0.9),
        point("worse", 60, 0.8),
        point("middle", 20, 0.7),
    ]
    assert on_front(*points) == ["fast", "slow", "middle"]
    assert [[item["model"] for item in front] for front in fronts(points)] == [["fast", "middle", "slow"]]


def test_of_two_equally_accurate_ones_the_faster_is_on_the_front():
    assert on_front(point("a", 10, 0.7), point("b", 11, 0.7)) == ["a"]
    assert on_front(point("a", 10, 0.7), point("b", 10, 0.7)) == ["a", "b"]


def test_measured_and_published_accuracies_have_fronts_of_their_own():
    points = [point("here", 10, 0.9), point("paper", 20, 0.7, "published"), point("none", 1, None)]
    assert on_front(*points) == ["here", "paper"]
    assert len(fronts(points)) == 2


def test_a_frame_of_a_stream_and_another_device_are_not_compared():
    frame = point("stream", 1, 0.9, latency_ms={"p50": 1.0, "interval": [1, 1], "per": "frame"})
    board = point("board", 2, 0.95, ran_on={"device": "a board"})
    assert on_front(frame, point("clip", 10, 0.8), board) == ["stream", "clip", "board"]


def test_the_front_is_that_of_every_pair():
    draw = np.random.default_rng(0)
    points = [
        point(str(i), float(ms), float(top1)) for i, (ms, top1) in enumerate(draw.random((60, 2)) + 0.1)
    ]
    expected = [
        one["model"]
        for one in points
        if not any(
            other["latency_ms"]["p50"] < one["latency_ms"]["p50"]
            and other["accuracy"]["top1"] > one["accuracy"]["top1"]
            for other in points
        )
    ]
    assert on_front(*points) == expected


def test_a_label_says_what_differs():
    eight = point("tsm_r50", 10, 0.7)
    assert labels([eight, point("tsm_mbv2", 5, 0.6)]) == ["tsm_r50", "tsm_mbv2"]
    assert labels([eight, point("tsm_r50", 5, 0.6, frames=16, precision="int8")]) == [
        "fp32 8 frames",
        "int8 16 frames",
    ]
    twins = labels([eight, {**eight, "bundle": str(Path("runs", "mine"))}])
    assert twins == ["tsm_r50 (tsm_r50.cpu)", "tsm_r50 (mine)"]
