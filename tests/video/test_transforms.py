"""Preprocessing is what the networks were trained with: compared with torch's antialiased resize."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from edgevid.errors import UnknownNameError
from edgevid.specs import Preprocessing
from edgevid.video.transforms import Preprocess, resize_and_crop, resized_size

PLAIN = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
ODD_SIZES = [(340, 256), (256, 340), (321, 241), (241, 321), (640, 480), (1279, 719), (333, 777), (100, 75)]


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Noise over a gradient: detail that a resize without antialias turns into something else."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None]
    return ((noise + ramp) / 2).astype(np.uint8)


def reference(image: np.ndarray, short_side: int, crop: int, antialias: bool = True) -> np.ndarray:
    """What torchvision does to a uint8 tensor, in [0, 1], shape (3, crop, crop)."""
    height, width = image.shape[:2]
    short, long = sorted((height, width))
    size = [short_side if side == short else int(short_side * long / short) for side in (height, width)]
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    if size != [height, width]:
        tensor = F.interpolate(tensor, size=size, mode="bilinear", antialias=antialias, align_corners=False)
    top, left = (int(round((side - crop) / 2.0)) for side in size)  # noqa: RUF046
    tensor = tensor.round().clamp(0, 255)[0, :, top : top + crop, left : left + crop]
    return (tensor / 255).numpy()


@pytest.mark.parametrize("width,height", ODD_SIZES)
@pytest.mark.parametrize("short_side,crop", [(256, 224), (128, 112), (171, 129)])
def test_it_agrees_with_torch_within_a_level_on_average(width, height, short_side, crop):
    image = picture(width, height)
    preprocessing = Preprocessing(short_side=short_side, crop=crop, mean=PLAIN.mean, std=PLAIN.std)
    ours = Preprocess(preprocessing)(image)
    assert ours.shape == (3, crop, crop) and ours.dtype == np.float32
    difference = np.abs(ours - reference(image, short_side, crop))
    assert difference.mean() <= 1 / 255
    assert difference.max() <= 3 / 255


def test_a_resize_without_antialias_would_be_found_out():
    image = picture(1279, 719)
    wrong = reference(image, 256, 224, antialias=False)
    assert np.abs(Preprocess(PLAIN)(image) - wrong).mean() > 5 / 255


def test_a_crop_one_pixel_off_would_be_found_out():
    image = picture(340, 256)
    off = np.roll(Preprocess(PLAIN)(image), 1, axis=2)
    assert np.abs(off - reference(image, 256, 224)).mean() > 5 / 255


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(8, 500),
    height=st.integers(8, 500),
    short_side=st.integers(8, 90),
    crop_ratio=st.floats(0.3, 1.0),
)
def test_resizing_only_what_the_crop_needs_changes_no_pixel(width, height, short_side, crop_ratio):
    image = picture(width, height)
    crop = max(1, int(short_side * crop_ratio))
    new_width, new_height = resized_size(width, height, short_side)
    whole = Image.fromarray(image).resize((new_width, height), Image.Resampling.BILINEAR)
    whole = np.asarray(whole.resize((new_width, new_height), Image.Resampling.BILINEAR))
    left, top = round((new_width - crop) / 2), round((new_height - crop) / 2)
    np.testing.assert_array_equal(
        resize_and_crop(image, short_side, crop), whole[top : top + crop, left : left + crop]
    )


def test_the_long_side_is_rounded_down_as_torchvision_does():
    assert resized_size(640, 480, 256) == (341, 256)
    assert resized_size(480, 640, 256) == (256, 341)
    assert resized_size(256, 256, 128) == (128, 128)


def test_an_image_of_the_right_size_is_only_cropped():
    image = picture(340, 256)
    np.testing.assert_array_equal(resize_and_crop(image, 256, 224), image[16:240, 58:282])


def test_values_are_normalised_with_mean_and_standard_deviation():
    image = np.full((256, 256, 3), (255, 0, 51), np.uint8)
    ours = Preprocess(Preprocessing())(image)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(ours[:, 100, 100], expected, rtol=1e-5)


def test_bgr_takes_mean_and_deviation_in_its_own_order():
    image = np.full((256, 256, 3), (255, 0, 51), np.uint8)
    caffe = Preprocessing(mean=(0.2, 0.0, 0.5), std=(0.5, 1.0, 0.25), color="BGR")
    np.testing.assert_allclose(Preprocess(caffe)(image)[:, 0, 0], [0.0, 0.0, 2.0], atol=1e-6)


def test_a_crop_larger_than_the_image_is_padded_with_black_around_it():
    image = np.full((40, 60, 3), 255, np.uint8)
    pixels = resize_and_crop(image, 20, 25)  # 30 x 20 after the resize
    assert pixels.shape == (25, 25, 3)
    assert (pixels[2:22] == 255).all()
    assert (pixels[:2] == 0).all() and (pixels[22:] == 0).all()


def test_it_writes_into_the_array_that_is_given():
    image, out = picture(340, 256), np.zeros((2, 3, 224, 224), np.float32)
    transform = Preprocess(Preprocessing())
    transform(image, out=out[1])
    np.testing.assert_array_equal(out[1], transform(image))
    assert (out[0] == 0).all()


def test_the_frame_itself_is_not_changed():
    image = picture(340, 256)
    before = image.copy()
    Preprocess(Preprocessing())(image)
    np.testing.assert_array_equal(image, before)


def test_an_unknown_color_order_is_refused():
    with pytest.raises(UnknownNameError, match="unknown color order 'YUV': choose one of RGB, BGR"):
        Preprocess(Preprocessing(color="YUV"))
