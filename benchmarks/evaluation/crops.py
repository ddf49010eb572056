"""Sizes and crops of pictures as test protocols have them: width and height first, in pixels."""

from __future__ import annotations

from collections.abc import Callable

from edgevid.video.transforms import crop_window, resized_size

Window = tuple[int, int, bool]
"""Left and top of a square crop, and whether it is mirrored."""

Resize = Callable[[int, int, int], tuple[int, int]]
"""From width, height and the length of the short side to the new width and height."""

Crops = Callable[[int, int, int], list[Window]]
"""From width, height and the crop's side, at most the shorter of both, to the crops."""

round_down: Resize = resized_size
"""The long side as in torchvision."""


def round_to_nearest(width: int, height: int, short_side: int) -> tuple[int, int]:
    """``rescale_size`` of mmcv, as ``Resize(scale=(-1, short_side))`` of MMAction2 calls it."""
    factor = short_side / min(width, height)
    return int(width * factor + 0.5), int(height * factor + 0.5)


def four_to_three(width: int, height: int, short_side: int) -> tuple[int, int]:
    """``Scale`` of PaddleVideo with its ``fixed_ratio``: every picture becomes 4:3, or 3:4 if it is upright.

    One whose short side has the length already stays as it is.
    """
    if min(width, height) == short_side:
        return width, height
    long_side = int(short_side * 4.0 / 3.0)
    return (short_side, long_side) if width <= height else (long_side, short_side)


def center_crop(width: int, height: int, crop: int) -> list[Window]:
    """With torchvision's rounding, which is that of PaddleVideo's ``CenterCrop`` too."""
    return [(crop_window(width, crop)[0], crop_window(height, crop)[0], False)]


def center_crop_floored(width: int, height: int, crop: int) -> list[Window]:
    """``CenterCrop`` of MMAction2."""
    return [((width - crop) // 2, (height - crop) // 2, False)]


def three_crops_by_halves(width: int, height: int, crop: int) -> list[Window]:
    """Both ends and the middle of the long side: ``ThreeCrop`` of MMAction2, centered on the short side."""
    x, y = (width - crop) // 2, (height - crop) // 2
    if width >= height:
        return [(0, y, False), (2 * x, y, False), (x, y, False)]
    return [(x, 0, False), (x, 2 * y, False), (x, y, False)]


def three_crops_by_quarters(width: int, height: int, crop: int) -> list[Window]:
    """``GroupFullResSample`` of the official TSM code and of PaddleVideo: always left, right and middle."""
    x, y = (width - crop) // 4, (height - crop) // 4
    return [(0, 2 * y, False), (4 * x, 2 * y, False), (2 * x, 2 * y, False)]


def ten_crops(width: int, height: int, crop: int) -> list[Window]:
    """Corners and middle, each mirrored too: ``GroupOverSample`` of TSM's code, ``TenCrop`` of MMAction2."""
    x, y = (width - crop) // 4, (height - crop) // 4
    corners = [(0, 0), (4 * x, 0), (0, 4 * y), (4 * x, 4 * y), (2 * x, 2 * y)]
    return [(left, top, mirrored) for left, top in corners for mirrored in (False, True)]
