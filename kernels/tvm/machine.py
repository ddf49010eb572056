"""What the loops need to know of a processor."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd


@dataclass(frozen=True)
class Machine:
    """``lanes`` float32 values fit in a vector register, of which there are ``registers``.

    ``tasks`` is how many pieces of work there should be at least: 2, 4, 6, 8 and 12 cores share 24 evenly.
    ``cache_bytes`` is what a core may keep of a convolution's input while it walks over the filters.
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
"""By the vector instructions of a processor."""
