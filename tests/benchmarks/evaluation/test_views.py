"""Views have the pixels of the exact preprocessing, at the places of the protocol."""

from __future__ import annotations

import numpy as np
import pytest
from one_video import write_video
from PIL import Image

from edgevid.benchmarks.evaluation.protocols import protocol_named
from edgevid.benchmarks.evaluation.views import FRACTIONS, Views
from edgevid.errors import BenchmarkError, VideoError
from edgevid.specs import Preprocessing
from edgevid.video.clips import load_clip, read_clip
from edgevid.video.decode import read_frames
from edgevid.video.transforms import Preprocess

PREPROCESSING = Preprocessing(36, 28)
"""The test's video is 48x40."""


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("views") / "video.mp4"
    write_video(path, seed=3, frames=20)
    return path


def read(video, name, frames=4, preprocessing=PREPROCESSING, **options):
    views = Views(protocol_named(name, preprocessing.sampling), preprocessing, frames, **options)
    return np.array(list(views.read(video)))


def test_the_bundles_protocol_is_what_edgevid_run_shows_with_exact_preprocessing(video):
    clip = load_clip(video, PREPROCESSING, 4)
    assert clip.method == "exact"
    np.testing.assert_array_equal(read(video, "bundle"), clip.data)


def test_many_clips_have_the_pixels_of_each(video):
    protocol = protocol_named("dense-10x1", "segments")
    clip = read_clip(video, PREPROCESSING, (10, 4), lambda total: protocol.indices(total, 4))
    np.testing.assert_array_equal(read(video, "dense-10x1"), clip.data)


def test_crops_are_cut_from_the_whole_resized_picture(video):
    """By hand: 48x40 becomes 43x36; ten crops of 28, every other one mirrored."""
    first = next(read_frames(video)).image
    columns = Image.fromarray(first).resize((43, 40), Image.Resampling.BILINEAR)
    resized = np.asarray(columns.resize((43, 36), Image.Resampling.BILINEAR))
    normalize = Preprocess(PREPROCESSING).normalize
    views = read(video, "uniform-2x10", frames=1)  # the first of two clips begins with the first frame
    assert views.shape == (20, 1, 3, 28, 28)
    places = [(0, 0), (12, 0), (0, 8), (12, 8), (6, 4)]
    for number, (left, top) in enumerate(places):
        pixels = resized[top : top + 28, left : left + 28]
        np.testing.assert_array_equal(views[2 * number, 0], normalize(pixels))
        np.testing.assert_array_equal(views[2 * number + 1, 0], normalize(pixels[:, ::-1]))


def test_full_resolution_reaches_both_ends_of_the_picture(video):
    views = Views(protocol_named("uniform-1x3-full", "segments"), PREPROCESSING, 4)
    assert (views.short_side, views.crop) == (28, 28)
    assert np.array(list(views.read(video))).shape == (3, 4, 3, 28, 28)


def test_early_views_see_only_the_first_frames(video):
    views = read(video, "bundle", frames=1, early=True)
    assert len(views) == len(FRACTIONS)
    frames = [Preprocess(PREPROCESSING)(frame.image) for frame in read_frames(video)]
    # The middle frame of the first 2, 4, 6 ... 20.
    for number, view in enumerate(views, 1):
        np.testing.assert_array_equal(view[0], frames[number])


def test_every_frame_comes_in_order(video):
    started: list[int] = []
    kept: list[np.ndarray] = []
    Views(protocol_named("bundle", "segments"), PREPROCESSING, 4).read_all(video, started.append, kept.append)
    assert started == [20]
    expected = [Preprocess(PREPROCESSING)(frame.image) for frame in read_frames(video)]
    np.testing.assert_array_equal(kept, expected)


def test_a_crop_that_is_larger_than_the_picture_is_refused():
    with pytest.raises(BenchmarkError, match="crops 28 pixels of a short side of 20: use"):
        Views(protocol_named("mmaction2-tsm", "segments"), Preprocessing(20, 28), 4)


def test_early_recognition_needs_a_single_view():
    with pytest.raises(BenchmarkError, match="has 10: use"):
        Views(protocol_named("dense-10x1", "segments"), PREPROCESSING, 4, early=True)


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError):
        read(tmp_path / "text.mp4", "bundle")
