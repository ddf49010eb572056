"""Times only go forward and can be relied on, whatever stamps a file has."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.video.decode import probe, read_frames
from edgevid.video.pick import pick_frames
from edgevid.video.timestamps import Clock, Timeline


def times(stamps: list[float | None], rate: float | None = 10.0) -> list[float]:
    clock = Clock(rate)
    return [clock(stamp) for stamp in stamps]


@pytest.mark.parametrize(
    "stamps,expected",
    [
        ([5.0, 5.1, 5.2], [0.0, 0.1, 0.2]),
        ([-0.3, -0.2, -0.1, 0.0], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, None, None, 0.3], [0.0, 0.1, 0.2, 0.3]),
        ([None, None, 7.0, 7.1], [0.0, 0.1, 0.2, 0.3]),
        ([3.0, 3.0, 3.0, 3.0], [0.0, 0.1, 0.2, 0.3]),
        ([0.0, 0.1, 0.1, 0.3], [0.0, 0.1, 0.2, 0.3]),
        # Two recordings joined: the second starts anew, with another rate.
        ([0.0, 2.0, 4.0, 0.0, 2.0, 4.0], [0.0, 2.0, 4.0, 4.1, 6.1, 8.1]),
        ([9000.0, 9000.1, 0.0, 0.3], [0.0, 0.1, 0.2, 0.5]),
        # A pause, or a clock that jumps, stays.
        ([0.0, 0.1, 95443.7, 95443.8], [0.0, 0.1, 95443.7, 95443.8]),
    ],
)
def test_times_follow_the_stamps_as_far_as_those_can_be_followed(stamps, expected):
    assert times(stamps) == pytest.approx(expected)


def test_disorder_within_a_group_does_not_shift_what_follows():
    assert times([0.0, 0.4, 0.2, 0.8, 1.2, 1.6])[3:] == pytest.approx([0.8, 1.2, 1.6])


def test_without_a_declared_rate_the_last_interval_is_the_usual_one():
    assert times([0.0, 0.5, None, None], rate=None) == pytest.approx([0.0, 0.5, 1.0, 1.5])
    assert times([1.0, 1.0, 1.0], rate=None) == pytest.approx([0.0, 0.04, 0.08])


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=40))
def test_times_start_at_zero_and_only_go_forward(stamps):
    result = times(stamps)
    assert result[0] == 0.0
    assert all(later > earlier for earlier, later in itertools.pairwise(result))


def test_a_timeline_counts_frames_and_leaves_gaps_out_of_their_rate():
    timeline = Timeline()
    for time_s in (0.0, 0.1, 0.2, 100.0, 100.1):
        timeline.add(time_s)
    assert timeline.frames == 5
    assert timeline.frame_rate == pytest.approx(10.0)
    assert timeline.duration_s == pytest.approx(100.2)


def test_a_single_frame_has_no_rate():
    timeline = Timeline()
    timeline.add(0.0)
    assert (timeline.frames, timeline.frame_rate, timeline.duration_s) == (1, None, None)


def as_a_browser_records(path) -> None:
    """Take what MediaRecorder does not write out of a WebM: the duration of the file and of a frame."""
    data = path.read_bytes()
    for element, size in (
        (b"\x44\x89\x88", 11),
        (b"\x23\xe3\x83", 4 + data[data.index(b"\x23\xe3\x83") + 3] - 0x80),
    ):
        start = data.index(element)
        data = data[:start] + bytes([0xEC, 0x80 + size - 2]) + bytes(size - 2) + data[start + size :]
    tag = data.find(b"DURATION")
    path.write_bytes(data if tag < 0 else data.replace(b"DURATION", b"NOTHING_"))


@pytest.mark.parametrize(
    "times_ms", [[33 * i for i in range(30)], [0, 31, 70, 101, 132, 168, 202, 233, 270, 301]]
)
def test_a_recording_of_a_browser_has_the_rate_of_its_frames(write_video, times_ms):
    path = write_video(name="v.webm", frames=len(times_ms), times_ms=times_ms, codec="libvpx", fps=1000)
    as_a_browser_records(path)
    assert probe(path).duration_s is None
    assert probe(path).frame_rate is None or probe(path).frame_rate < 100
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == pytest.approx([t / 1000 for t in times_ms], abs=2e-3)
    timeline = pick_frames(path, lambda total: [0], lambda i, image: None)
    assert timeline.frames == len(times_ms)
    assert timeline.frame_rate == pytest.approx(30, abs=1)
    assert timeline.duration_s == pytest.approx(len(times_ms) / 30, abs=0.05)


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
def test_a_clock_that_jumps_shows_every_frame_once(write_video, which, name):
    jump_ms = 95_443_718
    times_ms = [100 * i + (jump_ms if i >= 6 else 0) for i in range(12)]
    path = write_video(name=name, frames=12, fps=10, times_ms=times_ms, options={"x264-params": "bframes=0"})
    assert [which(frame.image) for frame in read_frames(path)] == list(range(12))
    kept: dict[int, int] = {}
    timeline = pick_frames(path, range, lambda i, image: kept.update({i: which(image)}))
    assert kept == {i: i for i in range(12)}
    assert timeline.frame_rate == pytest.approx(10, rel=0.01)
