"""The parameters of a processor for the loops."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class Machine:
    """A processor with ``registers`` vector registers of ``lanes`` float32 values.

    ``tasks`` is the minimum number of parallel tasks: 2, 4, 6, 8 and 12 cores share 24 evenly.
    ``cache_bytes`` is the part of a convolution's input that a core can cache while it loops over the
    filters.
    """

    lanes: int
    registers: int
    tasks: int = 24
    cache_bytes: int = 256 * 1024

    def vector(self, channels: int) -> int:
        """The widest vector that divides ``channels``."""
        return gcd(channels, self.lanes)


MACHINES = {
    "avx512": Machine(lanes=16, registers=32),
    "avx2": Machine(lanes=8, registers=16),
    "sse": Machine(lanes=4, registers=16),
    "neon": Machine(lanes=4, registers=32),
}
"""By vector instruction set."""
