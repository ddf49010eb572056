"""The report on a video is about its decoded frames, not its container's claims."""

from __future__ import annotations

import numpy as np
import pytest
from fake_session import FakeSession

from edgevid.video.decode import measured, probe
from edgevid.video.timestamps import Timeline
from edgevid.video.watch import Options, recognize


def watch(path, streaming: bool, fps: float | None = None) -> dict:
    options = Options(
        top=1,
        sampling=None,
        fps=fps,
        duration_s=None,
        timeout_s=10,
        live=None,
        reconnect=False,
        several=False,
        exact=False,
        on_change=None,
    )
    return recognize(FakeSession(streaming), str(path), options)


@pytest.mark.parametrize("streaming", [False, True])
def test_frames_that_an_edit_list_leaves_out_are_not_counted(write_video, edit, caplog, streaming):
    path = write_video(frames=31, fps=12, faststart=False)
    edit(path, [(2000, 6)])
    assert probe(path).frames == 31  # what it claims
    video = watch(path, streaming)["video"]
    assert (video["frames"], video["frame_rate"], video["duration_s"]) == (24, 12.0, 2.0)
    assert not caplog.records


@pytest.mark.parametrize("streaming", [False, True])
def test_a_cut_file_is_as_long_as_what_is_left(write_video, streaming):
    noise = np.random.default_rng(0).integers(0, 256, (24, 48, 64, 3), dtype=np.uint8)
    path = write_video(name="v.avi", images=list(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = watch(path, streaming)["video"]
    assert 6 < video["frames"] < 18
    assert video["duration_s"] == pytest.approx(video["frames"] / 12, abs=2 / 12)


def test_a_clock_that_jumps_is_told_and_its_gap_is_not_filled(write_video, caplog):
    times_ms = [100 * i + (95_443_718 if i >= 30 else 0) for i in range(60)]
    path = write_video(name="jump.mkv", frames=60, fps=10, times_ms=times_ms)
    result = watch(path, streaming=True, fps=10)
    assert result["frames"] == result["video"]["frames"] == 60
    assert result["video"]["frame_rate"] == 10
    (record,) = caplog.records
    assert f"the timestamps of '{path}' jump by 95443.8 s after 2.9 s" in record.getMessage()


def test_a_declaration_that_only_rounding_contradicts_stays(write_video):
    info = probe(write_video(name="v.mkv", frames=24, fps=12))
    timeline = Timeline()
    for i in range(24):
        timeline.add(round(i / 12, 3))
    assert measured(info, timeline).frame_rate == info.frame_rate == 12
    assert measured(info, timeline).duration_s == info.duration_s
    assert measured(info, timeline).frames == 24


def test_a_single_frame_says_nothing_of_a_rate(write_video):
    info = probe(write_video(frames=1))
    timeline = Timeline()
    timeline.add(0.0)
    assert measured(info, timeline).frame_rate == info.frame_rate
