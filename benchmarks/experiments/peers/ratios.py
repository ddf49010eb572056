"""One time for each round of a contestant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def of_rounds(samples_ms: Sequence[Sequence[float]]) -> list[float]:
    """One time for each round: the median of its turn."""
    return [float(np.median(turn)) for turn in samples_ms]
