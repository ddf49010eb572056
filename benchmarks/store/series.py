"""Raw samples as compressed bytes that give back every bit.

Samples of a clock are whole nanoseconds, kept as integers: 1.8 to 3.5 bytes each in the runs of
``benchmarks/results``. Other float64 values take 6.2 to 7.5 bytes. Bytes of equal significance are stored
together, which zlib compresses better.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

NANOSECONDS, FLOATS = b"n", b"f"
"""The first byte of the data: what its eight-byte values are."""
NS_PER_MS = 1e6
LARGEST_EXACT = 2.0**53


def pack(values: Sequence[float]) -> bytes:
    """Finite floats, compressed; ``ValueError`` for NaN and infinity, which JSON does not have."""
    floats = np.asarray(values, "<f8")
    if not np.isfinite(floats).all():
        raise ValueError("a sample is not a finite number")
    if (np.abs(floats) < LARGEST_EXACT / NS_PER_MS).all():
        nanoseconds = np.rint(floats * NS_PER_MS).astype("<i8")
        # Compared as bytes, so that -0.0 remains what it is.
        if (nanoseconds / NS_PER_MS).tobytes() == floats.tobytes():
            return NANOSECONDS + _compress(nanoseconds)
    return FLOATS + _compress(floats)


def unpack(data: bytes) -> list[float]:
    """The values that ``pack`` was given."""
    planes = np.frombuffer(zlib.decompress(data[1:]), np.uint8).reshape(8, -1)
    flat = np.ascontiguousarray(planes.T)
    if data[:1] == NANOSECONDS:
        return (flat.view("<i8").ravel() / NS_PER_MS).tolist()
    return flat.view("<f8").ravel().tolist()


def _compress(values: np.ndarray) -> bytes:
    return zlib.compress(values.view(np.uint8).reshape(-1, 8).T.tobytes())
