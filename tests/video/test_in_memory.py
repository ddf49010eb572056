"""Data sets decoded into memory."""

from __future__ import annotations

import numpy as np
import pytest
from one_video import write_videos

from edgevid.errors import EdgevidError, VideoError
from edgevid.specs import Preprocessing
from edgevid.video.clips import load_clip
from edgevid.video.in_memory import decode_all, evenly, small_frames
from edgevid.video.sampling import segment_indices
from edgevid.video.transforms import Preprocess


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Three videos of 12 frames, 48 x 40 pixels."""
    return sorted(write_videos(tmp_path_factory.mktemp("videos"), 3).iterdir())


def test_frames_keep_their_sides_ratio_and_order(videos):
    frames = small_frames(videos[0], 20, evenly(4))
    assert frames.shape == (4, 20, 24, 3) and frames.dtype == np.uint8
    every = small_frames(videos[0], 20, evenly(100))
    np.testing.assert_array_equal(frames, every[[0, 3, 6, 9]])


def test_a_test_clip_is_the_one_that_the_exported_network_sees(videos):
    preprocessing = Preprocessing(short_side=20, crop=16)
    frames = small_frames(videos[0], 20, lambda total: segment_indices(total, 4))
    resize_nothing = Preprocess(preprocessing)
    inputs = np.stack([resize_nothing(frame) for frame in frames])
    np.testing.assert_allclose(inputs, load_clip(videos[0], preprocessing, 4).data[0], atol=0.02)


def test_a_frame_that_is_chosen_twice_is_there_twice(videos):
    frames = small_frames(videos[0], 20, lambda total: np.array([0, 0, 5]))
    np.testing.assert_array_equal(frames[0], frames[1])


def test_damaged_videos_are_reported_in_their_place(videos, tmp_path):
    (tmp_path / "damaged.mp4").write_bytes(b"no video")
    results = list(decode_all([videos[0], tmp_path / "damaged.mp4", videos[1]], 20, evenly(2), 2, 1))
    assert [type(result) for result in results] == [np.ndarray, VideoError, np.ndarray]


def test_a_data_set_that_is_too_large_is_refused_with_a_remedy(videos):
    with pytest.raises(EdgevidError, match=r"need more than 1e-05 GiB: allow more with --memory"):
        list(decode_all(videos, 20, evenly(12), 2, 1e-5))
