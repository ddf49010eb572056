"""A decoded picture becomes the network's input: exactly as in training, or nearly so by the kernel."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest

from edgevid.kernels.common import build
from edgevid.specs import Preprocessing
from edgevid.video import planes
from edgevid.video.color import ToRGB
from edgevid.video.decode import decoded_frames, open_video
from edgevid.video.frame import to_rgb
from edgevid.video.geometry import Orientation
from edgevid.video.planes import PIXEL_FORMATS
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.transforms import Preprocess

SMALL = Preprocessing(short_side=72, crop=64)
LEVELS = Preprocessing(short_side=72, crop=64, mean=(0, 0, 0), std=(1 / 255,) * 3)
"""Inputs are levels from 0 to 255."""

UPRIGHT = Orientation()


def scene(height, width):
    """RGB with slopes, edges, and fine texture, none of it symmetric."""
    y, x = np.mgrid[:height, :width] / min(height, width)
    slopes = np.stack([60 + 90 * x, 200 - 80 * y, 90 + 60 * np.sin(5 * x + 3 * y)], axis=-1)
    slopes[(x - 0.5) ** 2 + (y - 0.3) ** 2 < 0.04] = (190, 60, 40)
    slopes[(x > 0.2) & (x < 0.4) & (y > 0.6)] = (30, 60, 170)
    return (slopes + np.random.default_rng(0).normal(0, 6, (height, width, 1))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def picture(write_video, monkeypatch):
    """Make pictures of the scene in any pixel format, whose chroma no codec has put to the left."""
    monkeypatch.setattr(ToRGB, "is_left_sited", lambda converter: False)
    with open_video(write_video(frames=1)) as (container, stream):
        first, _ = next(decoded_frames(container, stream, "a video"))

        def make(name="yuv420p", height=270, width=480, aspect=1.0, orientation=UPRIGHT):
            frame = av.VideoFrame.from_ndarray(scene(height, width), format="rgb24").reformat(format=name)
            return first._replace(frame=frame, pixel_aspect=aspect, orientation=orientation)

        yield make


@pytest.fixture
def needs_kernel():
    if build.find_compiler() is None:
        pytest.skip("this machine has no C++ compiler")
    planes._kernel.cache_clear()  # a quick test before this one may have run without


def both_ways(picture, preprocessing=LEVELS):
    fast = FramePreprocessor(preprocessing)
    results = fast(picture), FramePreprocessor(preprocessing, exact=True)(picture)
    assert fast.method == "fast"
    return results


def test_the_exact_way_is_rgb_then_pillow(picture):
    transform = FramePreprocessor(SMALL, exact=True)
    out = np.empty((3, 64, 64), np.float32)
    assert transform(picture(), out=out) is out
    np.testing.assert_array_equal(out, Preprocess(SMALL)(to_rgb(picture())))
    assert transform.method == "exact"


@pytest.mark.parametrize("size", ((270, 480), (271, 480), (271, 481), (96, 72), (60, 80)))
@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_the_kernel_is_within_a_level_of_it(needs_kernel, picture, name, size):
    fast, exact = both_ways(picture(name, *size))
    assert np.abs(fast - exact).mean() < 1


@pytest.mark.parametrize("aspect", (16 / 15, 64 / 45, 0.75))
@pytest.mark.parametrize("name", ("yuv420p", "yuv422p", "p010le"))
def test_pixels_are_made_square(needs_kernel, picture, name, aspect):
    fast, exact = both_ways(picture(name, aspect=aspect))
    assert np.abs(fast - exact).mean() < 1


@pytest.mark.parametrize("aspect", (1.0, 1.25))
@pytest.mark.parametrize("codec", ("libx264", "mpeg4", "libvpx-vp9"))
def test_chroma_lies_where_the_codec_has_it(needs_kernel, write_video, codec, aspect):
    path = write_video("video.mkv", images=[scene(270, 480)], codec=codec)
    with open_video(path) as (container, stream):
        decoded, _ = next(decoded_frames(container, stream, "a video"))
        fast, exact = both_ways(decoded._replace(pixel_aspect=aspect))
    assert np.abs(fast - exact).mean() < 0.6


@pytest.mark.parametrize(("turns", "mirrored"), [*itertools.product(range(4), (False, True))])
def test_pictures_are_turned_and_mirrored(needs_kernel, picture, turns, mirrored):
    fast, exact = both_ways(picture(orientation=Orientation(turns, mirrored), aspect=1.1))
    assert np.abs(fast - exact).mean() < 1
    assert np.abs(fast - exact[:, ::-1]).mean() > 5
    assert np.abs(fast - exact[:, :, ::-1]).mean() > 5


@pytest.mark.parametrize("matrix", (1, 5, 7, 9))
@pytest.mark.parametrize("name", ("yuv420p", "yuvj420p", "yuv444p10le"))
def test_every_matrix_and_range(needs_kernel, picture, name, matrix):
    one = picture(name)
    one.frame.colorspace = matrix
    fast, exact = both_ways(one)
    assert np.abs(fast - exact).mean() < 1


def test_normalization_and_color_order(needs_kernel, picture):
    bgr = Preprocessing(short_side=72, crop=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), color="BGR")
    fast, exact = both_ways(picture(), bgr)
    assert np.abs(fast - exact).mean() < 1 / 255 / 0.2
    np.testing.assert_allclose(fast.mean((1, 2)), exact.mean((1, 2)), atol=0.01)


@pytest.mark.parametrize("orientation", (UPRIGHT, Orientation(1)))
def test_a_crop_larger_than_the_picture_is_padded_with_black(needs_kernel, picture, orientation):
    padded = Preprocessing(short_side=20, crop=25, mean=(0.5,) * 3, std=(0.5,) * 3)
    fast, exact = both_ways(picture(height=40, width=60, orientation=orientation), padded)
    assert ((fast == -1) == (exact == -1)).all() and (exact == -1).any()
    assert np.abs(fast - exact).mean() < 2 / 255


def test_a_stream_may_change_its_size(needs_kernel, picture):
    transform, fresh = FramePreprocessor(SMALL), FramePreprocessor(SMALL)
    transform(picture())
    changed = picture(height=200, width=300)
    np.testing.assert_array_equal(transform(changed), fresh(changed))


def hdr(picture):
    one = picture("yuv420p10le")
    one.frame.color_trc = 16
    return one


@pytest.mark.parametrize(
    "make",
    (
        lambda picture: picture("gray"),
        lambda picture: picture("yuva420p"),
        lambda picture: picture(orientation=Orientation(tilt=10.0)),
        hdr,
    ),
    ids=("gray", "alpha", "tilt", "HDR"),
)
def test_what_the_kernel_cannot_read_goes_the_exact_way(picture, make):
    transform, one = FramePreprocessor(SMALL), make(picture)
    np.testing.assert_array_equal(transform(one), Preprocess(SMALL)(to_rgb(one)))
    assert transform.method == "exact"


def test_without_a_compiler_all_go_the_exact_way(picture, monkeypatch):
    monkeypatch.setattr(planes, "_kernel", lambda: None)
    transform = FramePreprocessor(SMALL)
    np.testing.assert_array_equal(transform(picture()), Preprocess(SMALL)(to_rgb(picture())))
    assert transform.method == "exact"
