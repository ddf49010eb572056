"""What the digits do, and that only the order of frames tells the classes of a pair apart."""

from __future__ import annotations

import numpy as np
import pytest

from edgevid.video.datasets.digits.activities import CLASSES, PAIRS
from edgevid.video.datasets.digits.clips import Options, generator, render_clips
from edgevid.video.datasets.digits.drawing import Pose, Scene
from edgevid.video.datasets.digits.handwriting import Handwriting

pytest.importorskip("sklearn", reason="the digits are scikit-learn's: pip install 'edgevid[datasets]'")

SMALL = Options(seed=0, videos=(2, 1), size=32, frames=6)


@pytest.fixture(scope="module")
def clips():
    return {str(video.path): video.images for video in render_clips(SMALL)}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.forward)
def test_a_class_is_its_partner_backwards_frame_by_frame(pair, clips):
    """So both have the same distribution of frames, and whatever ignores their order is at chance."""
    for video in ("train/{}/0000", "train/{}/0001", "test/{}/0000"):
        forward, backward = clips[video.format(pair.forward)], clips[video.format(pair.backward)]
        assert (forward == backward[::-1]).all()
        assert (forward != backward).any()


def test_a_clip_depends_on_its_seed_split_class_and_number_alone(clips):
    more = {str(video.path): video.images for video in render_clips(Options(0, (3, 1), 32, 6))}
    assert all((more[path] == images).all() for path, images in clips.items())
    other = {str(video.path): video.images for video in render_clips(Options(1, (2, 1), 32, 6))}
    assert all((other[path] != images).any() for path, images in clips.items())
    assert len({images.tobytes() for images in clips.values()}) == len(clips) == 30


def test_no_digit_of_training_is_in_a_test():
    train, test = Handwriting("train").indices, Handwriting("test").indices
    assert sum(map(len, train.values())) + sum(map(len, test.values())) == 1797
    for value in range(10):
        assert not set(train[value]) & set(test[value])
        assert len(test[value]) > 40


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("moves_right", lambda pose: pose.x),
        ("moves_down", lambda pose: pose.y),
        ("grows", lambda pose: pose.size),
        ("turns_clockwise", lambda pose: pose.angle),
    ],
)
def test_an_activity_goes_on_in_one_direction_without_leaving_the_picture(name, measure):
    pair = next(pair for pair in PAIRS if pair.forward == name)
    for number in range(50):
        poses = [shown.pose for shown in pair.motion(generator(0, "train", number), 24)]
        steps = np.diff([measure(pose) for pose in poses])
        assert (steps > 0).all()
        assert steps.sum() > 0.19
        assert all(0 < value < 1 for pose in poses for value in (pose.x, pose.y))


def test_zero_is_followed_by_one_at_the_same_place():
    pair = next(pair for pair in PAIRS if pair.forward == "zero_then_one")
    shown = pair.motion(generator(0, "train", 0), 24)
    assert len({each.pose[:3] for each in shown}) == 1
    which = [each.which for each in shown]
    assert which == sorted(which)
    assert 8 <= sum(which) <= 16
    assert pair.digits == ((0,), (1,))


def test_a_pose_is_where_how_large_and_how_far_turned_clockwise_a_digit_is():
    digit = np.zeros((8, 8), np.uint8)
    digit[0, 2:6] = 255  # its upper edge
    scene = Scene(np.random.default_rng(0), 64)

    def center(pose):
        bright = scene.draw(digit, pose).astype(int) - scene.draw(None, pose)
        y, x = np.argwhere(bright.sum(axis=-1) > 100).mean(axis=0)
        return x + 0.5, y + 0.5

    half, up = 32.0, 0.5 * 64 * 3.5 / 8  # the edge's pixels lie 3.5 above the center
    assert center(Pose(0.5, 0.5, 0.5, 0)) == pytest.approx((half, half - up), abs=1)
    assert center(Pose(0.5, 0.5, 0.5, np.pi / 2)) == pytest.approx((half + up, half), abs=1)
    assert center(Pose(0.75, 0.5, 0.25, 0)) == pytest.approx((48, half - up / 2), abs=1)


def test_classes_are_in_the_order_of_class_folders():
    assert len(CLASSES) == 10
    assert sorted(CLASSES) == list(CLASSES)
