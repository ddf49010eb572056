"""Narrower and wider variants of a network: every layer with a multiple of its channels."""

from __future__ import annotations

MULTIPLE = 8
SMALLEST_SHARE = 0.9


def scale_channels(channels: int, width: float) -> int:
    """``channels * width`` rounded to a multiple of 8 of at least 90 % of it; ``width`` 1 changes nothing.

    Source: the width multiplier of Howard et al., "MobileNets", 2017, section 3.3, rounded as MobileNetV2's
    authors do.
    """
    if width == 1:
        return channels
    exact = channels * width
    rounded = max(MULTIPLE, int(exact + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return rounded if rounded >= SMALLEST_SHARE * exact else rounded + MULTIPLE
