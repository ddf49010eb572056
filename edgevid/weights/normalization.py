"""The normalization of pixels that a checkpoint was trained with: mean, standard deviation, color order.

Each project has its own, taken here from its code and configurations; the user can override it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgevid.errors import EdgevidError
from edgevid.specs import ModelSpec, Preprocessing

COLORS = ("RGB", "BGR")
MAX_PIXEL = 255

Numbers = Sequence[float] | str
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Normalization:
    """For pixels from 0 to 1, in the order of ``color``."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    color: str = "RGB"


IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's, and so TSM's (ops/models.py), ACTION-Net's (train.py), PaddleVideo's (configs/recognition),
and MMAction2's, which writes 123.675, 116.28, 103.53 and 58.395, 57.12, 57.375 (configs/_base_/models)."""

HALF = Normalization((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
"""pytorchvideo's (its model zoo and tutorials)."""

IMAGENET_BGR = Normalization(IMAGENET.mean[::-1], IMAGENET.std[::-1], "BGR")
"""ChannelNets' (utils/imgnet_util.py: images as OpenCV reads them, in reversed order)."""

FLOW_OF_MMACTION2 = Normalization((128 / 255,) * 3, (128 / 255,) * 3)
"""Its configuration of TSN for optical flow: mean and deviation of 128."""


def imagenet(spec: ModelSpec) -> Normalization:
    return IMAGENET if spec.channels == 3 else model_default(spec)


def half(spec: ModelSpec) -> Normalization:
    return HALF


def imagenet_bgr(spec: ModelSpec) -> Normalization:
    return IMAGENET_BGR


def model_default(spec: ModelSpec) -> Normalization:
    """The model's default, for projects with a single network."""
    defaults = spec.preprocessing
    return Normalization(defaults.mean, defaults.std, defaults.color)


def mmaction2(spec: ModelSpec) -> Normalization:
    """C3D has the values of Sports-1M, its default; all others have ImageNet's."""
    if spec.name == "c3d":
        return model_default(spec)
    return FLOW_OF_MMACTION2 if spec.channels == 10 else imagenet(spec)


@dataclass(frozen=True)
class Override:
    """The user's settings; None keeps the value of the checkpoint or the model."""

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    color: str | None = None

    def apply(self, preprocessing: Preprocessing) -> Preprocessing:
        names = [name for name in ("mean", "std", "color") if getattr(self, name) is not None]
        if not names:
            return preprocessing
        options = " and ".join(f"--{name}" for name in names)
        rest = "" if len(names) == 3 else f"; the rest is {preprocessing.source}"
        # If the color order changes, each color keeps its values.
        order = -1 if self.color not in (None, preprocessing.color) else 1
        return replace(
            preprocessing,
            mean=self.mean or _ordered(preprocessing.mean, order),
            std=self.std or _ordered(preprocessing.std, order),
            color=self.color or preprocessing.color,
            source=f"given with {options}{rest}",
        )


def _ordered(numbers: Triple, order: int) -> Triple:
    first, second, third = numbers[::order]
    return first, second, third


NO_OVERRIDE = Override()


def parse_override(mean: Numbers | None, std: Numbers | None, color: str | None) -> Override:
    """Parse three numbers each for ``mean`` and ``std``, as a sequence or as ``"A,B,C"``.

    If any number is above 1, both are in the scale of pixels from 0 to 255, as in ``104,117,128`` and
    ``1,1,1``; else in that of 0 to 1. Raises ``EdgevidError``.
    """
    means = None if mean is None else _three("mean", mean)
    stds = None if std is None else _three("std", std)
    if stds is not None and min(stds) <= 0:
        raise EdgevidError(f"--std is a divisor, so it must be above 0, not {_text(stds)}")
    if means is not None and min(means) < 0:
        raise EdgevidError(f"--mean is a mean of pixels, so it must be at least 0, not {_text(means)}")
    scale = 1.0
    if max((*(means or ()), *(stds or ())), default=0.0) > 1:
        scale = float(MAX_PIXEL)
        mixed = means is not None and stds is not None and (0 < max(means) <= 1 or min(stds) < 1)
        if mixed:
            raise EdgevidError(
                f"--mean {_text(means or ())} and --std {_text(stds or ())} have different scales, one of "
                "pixels from 0 to 1, the other of 0 to 255: give both in the same scale"
            )
    if color is not None and str(color).upper() not in COLORS:
        raise EdgevidError(f"--color is {' or '.join(COLORS)}, not {color}")
    return Override(_scaled(means, scale), _scaled(stds, scale), str(color).upper() if color else None)


def _scaled(numbers: Triple | None, scale: float) -> Triple | None:
    return None if numbers is None else (numbers[0] / scale, numbers[1] / scale, numbers[2] / scale)


def _three(option: str, value: Numbers) -> Triple:
    parts = value.split(",") if isinstance(value, str) else value
    text = value if isinstance(value, str) else repr(value)
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(number) and number <= MAX_PIXEL for number in numbers):
        raise EdgevidError(
            f"--{option} takes three numbers of at most {MAX_PIXEL}, one for each color, such as "
            f"0.485,0.456,0.406, not '{text}'"
        )
    return numbers


def _text(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:g}" for number in numbers)
