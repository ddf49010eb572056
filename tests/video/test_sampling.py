"""Sampling picks the frames that the official code picks, and fits a video to any rate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.video.frame import Frame, Picture
from edgevid.video.geometry import Orientation
from edgevid.video.sampling import dense_indices, frames_as_they_come, frames_at_rate, segment_indices


def picture() -> Picture:
    """A picture without pixels, which nothing here looks at."""
    return Picture(None, 1.0, Orientation(), None)


def official_segments(num_frames: int, num_segments: int) -> list[int]:
    tick = num_frames / float(num_segments)
    return [int(tick / 2.0 + tick * x) for x in range(num_segments)]


def official_dense(num_frames: int, num_segments: int) -> list[int]:
    sample_pos = max(1, 1 + num_frames - 64)
    stride = 64 // num_segments
    starts = np.linspace(0, sample_pos - 1, num=10, dtype=int)
    return [(i * stride + start) % num_frames for start in starts.tolist() for i in range(num_segments)]


@given(total=st.integers(1, 5000), frames=st.integers(1, 64))
def test_segments_are_those_of_the_official_code(total, frames):
    assert segment_indices(total, frames).tolist() == official_segments(total, frames)


@given(total=st.integers(1, 5000), frames=st.integers(1, 64))
def test_ten_dense_clips_are_those_of_the_official_code(total, frames):
    indices = dense_indices(total, frames, clips=10)
    assert indices.shape == (10, frames)
    assert indices.ravel().tolist() == official_dense(total, frames)


def test_segments_take_the_middle_of_each():
    assert segment_indices(80, 8).tolist() == [5, 15, 25, 35, 45, 55, 65, 75]


@given(total=st.integers(1, 40), frames=st.integers(1, 40))
def test_a_short_video_repeats_its_frames_in_order(total, frames):
    indices = segment_indices(total, frames)
    assert (np.diff(indices) >= 0).all()
    assert indices.min() >= 0 and indices.max() < total
    if total <= frames:
        assert set(indices.tolist()) == set(range(total))


def test_a_video_of_one_frame_is_that_frame():
    assert segment_indices(1, 8).tolist() == [0] * 8
    assert dense_indices(1, 8).tolist() == [[0] * 8]


def test_one_dense_clip_is_the_middle_of_the_video():
    assert dense_indices(264, 8).tolist() == [[100 + 8 * i for i in range(8)]]


def test_the_stride_can_be_chosen():
    assert dense_indices(100, 4, stride=2, clips=2).tolist() == [[0, 2, 4, 6], [92, 94, 96, 98]]


def test_no_frames_cannot_be_sampled():
    with pytest.raises(ValueError, match="both must be 1 or more"):
        segment_indices(0, 8)
    with pytest.raises(ValueError, match="both must be 1 or more"):
        dense_indices(10, 0)


def video(times_s: list[float]) -> list[Frame]:
    """Frames that can be told apart by their identity."""
    return [Frame(picture(), t) for t in times_s]


def picked(frames: list[Frame], fps: float) -> list[int]:
    numbers = {id(f.picture): i for i, f in enumerate(frames)}
    return [numbers[id(f.picture)] for f in frames_at_rate(frames, fps)]


@pytest.mark.parametrize("fps", [10, 24, 25, 29.97, 30, 60])
def test_its_own_rate_gives_every_frame_once_even_in_rounded_milliseconds(fps):
    frames = video([round(i / fps, 3) for i in range(100)])
    assert picked(frames, fps) == list(range(100))


def test_a_lower_rate_drops_frames_evenly():
    assert picked(video([i / 30 for i in range(30)]), 10) == list(range(0, 30, 3))


def test_a_higher_rate_repeats_frames():
    assert picked(video([i / 10 for i in range(4)]), 20) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_frame_is_held_through_a_gap():
    assert picked(video([0.0, 0.1, 0.2, 1.0, 1.1]), 10) == [0, 1] + [2] * 8 + [3, 4]


def test_a_pause_of_seconds_is_filled_and_nothing_said(caplog):
    assert picked(video([0.0, 0.1, 9.0, 9.1]), 10) == [0] + [1] * 89 + [2, 3]
    assert not caplog.records


@pytest.mark.parametrize("gap_s", [60.0, 95443.7, 1e9])
def test_a_longer_gap_is_not_filled_and_one_line_says_so(caplog, gap_s):
    times = [i / 10 for i in range(30)] + [2.9 + gap_s + i / 10 for i in range(30)]
    sampled = list(frames_at_rate(video(times), 10, "jump.mkv"))
    assert len(sampled) == 60
    assert [frame.time_s for frame in sampled] == pytest.approx(times, abs=0.06)
    assert [record.getMessage() for record in caplog.records] == [
        f"the timestamps of 'jump.mkv' jump by {gap_s:.1f} s after 2.9 s: "
        "gaps of more than 10 s are not filled"
    ]


def test_a_slide_show_gives_each_slide_once_and_one_line(caplog):
    assert picked(video([0.0, 15.03, 30.0, 47.5]), 10) == [0, 1, 2, 3]
    assert len(caplog.records) == 1


def test_times_are_those_of_the_ticks():
    times = [f.time_s for f in frames_at_rate(video([0.0, 0.31, 0.64]), 5)]
    assert times == pytest.approx([0.2 * i for i in range(len(times))])


def test_any_rate_of_one_frame_is_one_frame_and_of_none_is_none():
    assert picked(video([0.0]), 30) == [0]
    assert picked([], 30) == []


def test_frames_are_read_one_ahead_and_no_more():
    read = 0

    def source():
        nonlocal read
        for frame in video([i / 10 for i in range(100)]):
            read += 1
            yield frame

    list(itertools.islice(frames_at_rate(source(), 10), 5))
    assert read <= 6


@given(steps=st.lists(st.floats(0, 2), min_size=1, max_size=30), fps=st.floats(0.5, 60))
def test_any_timing_gives_ordered_frames_near_their_time(steps, fps):
    frames = video([sum(steps[:i]) for i in range(len(steps))])
    sampled = list(frames_at_rate(frames, fps))
    numbers = picked(frames, fps)
    assert numbers == sorted(numbers)
    for number, frame in zip(numbers, sampled):
        assert frames[number].time_s <= frame.time_s + 0.5 / fps + 1e-9


def test_a_camera_is_thinned_to_the_rate():
    frames = video([i / 30 + 0.003 * (i % 2) for i in range(60)])
    sampled = [f.time_s for f in frames_as_they_come(frames, 10)]
    assert len(sampled) == 20
    assert np.diff(sampled) == pytest.approx(0.1, abs=0.04)


def test_a_late_camera_does_not_catch_up():
    late = video([0.0, 0.1, 0.2, 3.0, 3.1, 3.2, 3.3])
    assert [f.time_s for f in frames_as_they_come(late, 10)] == [0.0, 0.1, 0.2, 3.0, 3.1, 3.2, 3.3]


def test_a_camera_slower_than_the_rate_gives_all_its_frames():
    frames = video([i / 15 for i in range(30)])
    assert list(frames_as_they_come(frames, 30)) == frames
