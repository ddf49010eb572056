"""The camera scenario on a small video and a network that takes a known time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from fake_session import FakeSession
from one_video import write_video

from edgevid.benchmarks.harness.protocol import Settings
from edgevid.benchmarks.harness.scenarios import SCENARIOS
from edgevid.benchmarks.harness.scenarios.scenario import Workload
from edgevid.errors import VideoError

pytestmark = pytest.mark.slow  # in real time


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("camera") / "stripes.mp4"
    write_video(path, 0)  # 12 frames at 12 frames/s: it is shown more than once
    return str(path)


def watch(video: str, delay_s: float = 0.0, duration_s: float = 0.6, streaming: bool = True, **settings):
    session = FakeSession(streaming=streaming)
    session.delay_s = delay_s
    settings = Settings(video=video, **settings)
    return SCENARIOS["camera"].run(
        Workload(lambda: None, lambda *_: None, settings=settings, session=session), duration_s
    )


def test_a_fast_network_answers_every_frame_at_the_cameras_rate(video):
    timing = watch(video, fps=10, duration_s=1.5)
    camera = timing.details["camera"]
    assert camera["arrived"] == pytest.approx(15, abs=3)
    assert camera["dropped"] <= 2, "none but where this machine holds a thread back for a tenth of a second"
    assert len(timing.samples_ms) + camera["dropped"] == pytest.approx(camera["arrived"], abs=2)
    assert timing.includes == ("decoding", "preprocessing", "waiting", "inference")
    assert set(camera["stage_ms_per_frame"]) == {"decoding", "preprocessing", "inference"}


def test_a_network_slower_than_the_camera_drops_frames_and_answers_the_newest(video):
    timing = watch(video, delay_s=0.05, fps=50, duration_s=1.2)
    camera = timing.details["camera"]
    answered = len(timing.samples_ms)
    assert camera["dropped"] >= answered, "at least every other frame was replaced"
    assert camera["missed"] == camera["dropped"] + camera["late"] and camera["missed_share"] > 0.5
    assert min(timing.samples_ms) >= 50, "the delay includes the inference"
    assert np.median(timing.samples_ms) < 200, "frames do not queue up: the last would wait for 0.7 s"


def test_the_deadline_is_the_time_between_two_frames_unless_it_is_set(video):
    assert watch(video, fps=50, duration_s=0.1).details["camera"]["deadline_ms"] == 20
    assert watch(video, fps=50, duration_s=0.1, deadline_ms=7).details["camera"]["deadline_ms"] == 7


def test_an_answer_after_the_deadline_is_late(video):
    camera = watch(video, delay_s=0.03, fps=12.5, deadline_ms=10).details["camera"]
    assert camera["late"] > camera["dropped"]


def test_the_rate_is_the_videos_own_unless_it_is_set(video):
    assert watch(video, duration_s=0.1).details["camera"]["fps"] == 12


def test_several_cameras_are_answered_in_turn(video):
    timing = watch(video, fps=25, streams=3)
    camera = timing.details["camera"]
    assert camera["streams"] == 3 and camera["arrived"] == pytest.approx(3 * 15, abs=9)


def test_a_clip_bundle_answers_with_a_window(video):
    assert len(watch(video, fps=50, streaming=False).samples_ms) > 10


def test_no_camera_goes_on_after_the_run(video):
    watch(video, fps=50, duration_s=0.1, streams=2)
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(VideoError, match="cannot be read as a video"):
        watch(str(tmp_path / "notes.txt"), fps=10)
