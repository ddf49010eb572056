"""Frames and crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgevid.specs import Preprocessing
from edgevid.video.sampling import segment_indices
from edgevid.video.transforms import Preprocess, crop_window
from edgevid.zoo.training.augment import (
    Box,
    center_crop,
    center_segments,
    cut,
    normalize,
    random_crop,
    random_segments,
)


@pytest.mark.parametrize("total", [1, 3, 8, 10, 30, 32, 299])
def test_center_frames_are_those_of_the_exported_network(total):
    assert center_segments(total, 8).tolist() == segment_indices(total, 8).tolist()


def test_random_frames_come_from_every_part_of_their_segment_and_no_other():
    generator = np.random.default_rng(0)
    drawn = np.array([random_segments(32, 8, generator) for _ in range(200)])
    assert [sorted(set(column)) for column in drawn.T] == [list(range(4 * i, 4 * i + 4)) for i in range(8)]


def test_a_video_shorter_than_the_clip_repeats_frames_in_order():
    assert random_segments(3, 6, np.random.default_rng(0)).tolist() == [0, 0, 1, 1, 2, 2]


def test_crops_lie_at_the_corners_and_in_the_center_with_neighboring_scales():
    generator = np.random.default_rng(0)
    boxes = [random_crop(64, 80, (1.0, 0.875, 0.75, 0.66), generator) for _ in range(2000)]
    sides = {(box.height, box.width) for box in boxes}
    lengths = [64, 56, 48, 42]
    assert sides == {(a, b) for i, a in enumerate(lengths) for b in lengths[max(0, i - 1) : i + 2]}
    places = {(box.top, box.left) for box in boxes if (box.height, box.width) == (48, 48)}
    assert places == {(0, 0), (0, 32), (16, 0), (16, 32), (8, 16)}


@pytest.mark.parametrize(("side", "crop"), [(73, 64), (64, 64), (256, 224), (75, 64)])
def test_the_center_crop_is_rounded_as_in_the_bundle(side, crop):
    assert center_crop(side, side, crop).top == crop_window(side, crop)[0]


def test_test_inputs_are_those_of_the_exported_network():
    frame = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    preprocessing = Preprocessing(short_side=20, crop=16, mean=(0.1, 0.2, 0.3), color="BGR")
    inputs = normalize(cut(frame[None], center_crop(20, 24, 16), 16), preprocessing)
    np.testing.assert_allclose(inputs[0].numpy(), Preprocess(preprocessing)(frame), atol=1e-5)


def test_a_crop_is_resized_and_mirrored():
    frame = np.zeros((1, 8, 8, 3), np.uint8)
    frame[:, :4, :4] = 200
    small = cut(frame, Box(0, 0, 8, 8), 4, mirror=True)
    assert small.dtype == torch.uint8
    assert small[0, 0].tolist()[0] == pytest.approx([0, 0, 200, 200], abs=40)
    assert small[0, 0].tolist()[3] == [0, 0, 0, 0]
