"""A map over a frame: nothing where the evidence is none, and the frame as the network saw it."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.errors import EdgevidError, UnknownNameError
from edgevid.specs import Preprocessing
from edgevid.video.explain.drawing import SIDE, as_seen, mosaic, overlay, panel, sheet, strengths
from edgevid.video.explain.explanation import find_class


def test_the_strongest_value_of_all_frames_is_one_and_what_speaks_against_is_zero():
    maps = np.array([[[-3.0, 1.0]], [[0.0, 4.0]]])
    assert strengths(maps).tolist() == [[[0, 0.25]], [[0, 1]]]
    assert strengths(-np.abs(maps)).max() == 0


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_a_frame_is_shown_in_the_colors_of_the_video(color):
    preprocessing = Preprocessing(8, 8, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), color)
    rgb = np.array([200, 100, 50]) / 255
    order = rgb if color == "RGB" else rgb[::-1]
    values = (order - preprocessing.mean) / preprocessing.std
    data = np.broadcast_to(values[:, None, None], (3, 8, 8)).astype(np.float32)
    image = as_seen(data, preprocessing)
    assert image.shape == (SIDE, SIDE, 3)
    assert image[0, 0].tolist() == [200, 100, 50]


def test_a_frame_without_evidence_is_gray():
    image = np.repeat(np.random.default_rng(0).integers(0, 255, (32, 32, 1), np.uint8), 3, axis=2)
    heat = np.zeros((4, 4), np.float32)
    assert np.array_equal(overlay(image, heat), image)
    heat[0, 0] = 1
    changed = (overlay(image, heat) != image).any(axis=-1)
    assert changed[:8, :8].mean() > 0.9 and not changed[16:, 16:].any()


@pytest.mark.parametrize("crop", [7, 112, 225])
def test_panels_have_even_sides_and_fit_on_a_sheet(crop):
    data, heat = np.zeros((3, crop, crop), np.float32), np.ones((2, 2), np.float32)
    picture = panel(data, heat, "señal $x$ 画", Preprocessing(crop, crop))
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    assert sheet([picture] * 3).shape == (2 * height, 2 * width + 16, 3)


def test_the_most_active_channels_come_first():
    features = np.zeros((2, 3, 4, 4), np.float32)
    features[:, 2] = 1
    picture = mosaic(features, tile=8)
    assert picture.shape == (16, 24)
    assert picture[:, :8].min() == 255 and picture[:, 8:].max() == 0


def test_a_class_is_found_by_label_or_number():
    labels = ["red", "blue", "2"]
    assert [find_class(name, labels, 3) for name in ("blue", "0", "2", "top1")] == [1, 0, 2, None]
    assert find_class("4", None, 5) == 4
    with pytest.raises(UnknownNameError, match="did you mean red"):
        find_class("rde", labels, 3)
    with pytest.raises(EdgevidError, match="a number from 0 to 4"):
        find_class("red", None, 5)
