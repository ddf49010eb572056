"""How the pixels and output channels of a convolution are cut into tiles that fit in registers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from edgevid.kernels.tvm.machine import Machine

MOST_VECTORS = 5
"""More vectors of output channels in a tile gain nothing: they leave too few pixels to use each again."""


@dataclass(frozen=True)
class Run:
    """``count`` equal tiles of ``size`` neighbouring pixels, the first at pixel ``start``.

    ``taps[j]`` says for filter column ``j`` which pixels of the tile it falls on the image for, so that the
    border costs neither a test nor a padded copy.
    """

    start: int
    count: int
    size: int
    taps: tuple[tuple[int, ...], ...]


def tile_shape(columns: int, channels: int, machine: Machine) -> tuple[int, int, int]:
    """``(pixels, vectors, lanes)`` of a tile for rows of ``columns`` pixels: the least loads for a product.

    A tile keeps ``pixels * vectors`` sums in registers, and takes ``pixels + vectors`` loads for as many
    products.
    """
    lanes = machine.vector(channels)
    best, best_cost = (1, 1), float("inf")
    for vectors in range(1, MOST_VECTORS + 1):
        if channels // lanes % vectors:
            continue
        most = (machine.registers - vectors - 1) // vectors
        if most < 1:
            continue
        pixels = -(-columns // -(-columns // most))
        # At least 8 sums, or each addition waits for the one before it.
        cost = (pixels + vectors) / (pixels * vectors) + max(0, 8 - pixels * vectors) / 8
        if cost < best_cost:
            best, best_cost = (pixels, vectors), cost
    return (*best, lanes)


def runs(
    columns: int, size: int, width: int, taps: int, stride: int, padding: int, dilation: int
) -> list[Run]:
    """A row of ``columns`` outputs over ``width`` inputs, in tiles of ``size``, equal ones in a run."""
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
    found = []
    for (count, inside), group in groupby(tiles, key=lambda tile: tile[:2]):
        starts = [start for _, _, start in group]
        found.append(Run(starts[0], len(starts), count, inside))
    return found


def largest_divisor(number: int, most: int) -> int:
    """The largest divisor of ``number`` that is at most ``most``, and at least 1."""
    return max(divisor for divisor in range(1, max(1, min(number, most)) + 1) if number % divisor == 0)


def least_divisor(number: int, least: int) -> int:
    """The least divisor of ``number`` that is at least ``least``; ``number`` itself if there is none."""
    return next((divisor for divisor in range(max(1, least), number) if number % divisor == 0), number)
