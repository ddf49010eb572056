"""Cut the pixels and output channels of a convolution into tiles that fit in registers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from edgevid.kernels.common.tvm.machine import Machine

MAX_VECTORS = 5
"""More vectors of output channels in a tile gain nothing: too few pixels are left to reuse each."""


@dataclass(frozen=True)
class Run:
    """``count`` equal tiles of ``size`` neighboring pixels, the first at pixel ``start``.

    ``taps[j]`` has the pixels of the tile for which filter column ``j`` is in the image, so that borders need
    neither a test nor a padded copy.
    """

    start: int
    count: int
    size: int
    taps: tuple[tuple[int, ...], ...]


def tile_shape(columns: int, channels: int, machine: Machine) -> tuple[int, int, int]:
    """``(pixels, vectors, lanes)`` of a tile for rows of ``columns`` pixels, with the fewest loads per MAC.

    A tile has ``pixels * vectors`` accumulators in registers, and takes ``pixels + vectors`` loads for as
    many MACs.
    """
    lanes = machine.vector(channels)
    best, best_cost = (1, 1), float("inf")
    for vectors in range(1, MAX_VECTORS + 1):
        if channels // lanes % vectors:
            continue
        max_pixels = (machine.registers - vectors - 1) // vectors
        if max_pixels < 1:
            continue
        pixels = -(-columns // -(-columns // max_pixels))
        # With fewer than 8 accumulators, each addition waits for the previous one.
        cost = (pixels + vectors) / (pixels * vectors) + max(0, 8 - pixels * vectors) / 8
        if cost < best_cost:
            best, best_cost = (pixels, vectors), cost
    return (*best, lanes)


def runs(
    columns: int, size: int, width: int, taps: int, stride: int, padding: int, dilation: int
) -> list[Run]:
    """A row of ``columns`` outputs over ``width`` inputs in tiles of ``size``, equal ones in a run."""
    tiles = []
    for start in range(0, columns, size):
        count = min(size, columns - start)
        inside = tuple(
            tuple(
                pixel
                for pixel in range(count)
                if 0 <= (start + pixel) * stride + tap * dilation - padding < width
            )
            for tap in range(taps)
        )
        tiles.append((count, inside, start))
    result = []
    for (count, inside), group in groupby(tiles, key=lambda tile: tile[:2]):
        starts = [start for _, _, start in group]
        result.append(Run(starts[0], len(starts), count, inside))
    return result


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``; at least 1."""
    return max(divisor for divisor in range(1, max(1, min(number, limit)) + 1) if number % divisor == 0)


def smallest_divisor(number: int, minimum: int) -> int:
    """The smallest divisor of ``number`` that is at least ``minimum``, or ``number`` itself."""
    return next((divisor for divisor in range(max(1, minimum), number) if number % divisor == 0), number)
