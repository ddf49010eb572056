"""A decoded picture becomes the network's input."""

from __future__ import annotations

import numpy as np

from edgevid.specs import Preprocessing
from edgevid.video.decode import decoded_frames, open_video
from edgevid.video.frame import to_rgb
from edgevid.video.preprocess import FramePreprocessor
from edgevid.video.transforms import Preprocess

SMALL = Preprocessing(short_side=40, crop=32)


def test_the_exact_way_is_rgb_then_pillow(write_video):
    transform = FramePreprocessor(SMALL, exact=True)
    with open_video(write_video(frames=2)) as (container, stream):
        picture, _ = next(decoded_frames(container, stream, "a video"))
        out = np.empty((3, 32, 32), np.float32)
        assert transform(picture, out=out) is out
        np.testing.assert_array_equal(out, Preprocess(SMALL)(to_rgb(picture)))
    assert transform.method == "exact"
