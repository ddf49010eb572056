"""Sign tests that may be looked at after every pair: e-values, which are valid at any stopping time.

The order of the two processes in a pair is drawn at random, so without a difference the sign of a pair's
log ratio is a fair coin, whatever the machine does meanwhile. For n signs of which k speak against "a fair
coin or less", the likelihood ratio of a uniform mixture over the coins in (1/2, 1) is

    E(k, n) = 2^(n+1) * integral of p^k (1 - p)^(n - k) dp over (1/2, 1)
            = sum of C(n + 1, j) over j <= k, divided by (n + 1) C(n, k)

It is a test martingale: at any time, it exceeds 1 / alpha with probability alpha at most (Ville's inequality;
Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 2023).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

ALPHA = 0.01
INTERVAL_CONFIDENCE = 0.95


def e_value(against: int, count: int) -> float:
    """E(k, n) for ``against`` of ``count`` signs; 1 without any."""
    total = sum(math.comb(count + 1, j) for j in range(against + 1))
    return total / ((count + 1) * math.comb(count, against))


@dataclass
class SignTest:
    """Log ratios candidate / baseline of pairs, and what they say; above 0 the candidate is larger (slower).

    ``threshold`` is the relative effect that must be caught, such as 0.03.
    """

    threshold: float
    log_ratios: list[float] = field(default_factory=list)

    def add(self, ratio: float) -> None:
        self.log_ratios.append(math.log(ratio))

    @property
    def e_slower(self) -> float:
        """Evidence that the candidate is slower at all."""
        return self._evidence(lambda value: value > 0, lambda value: value != 0)

    @property
    def e_faster(self) -> float:
        return self._evidence(lambda value: value < 0, lambda value: value != 0)

    @property
    def e_within(self) -> float:
        """Evidence that it is slower by less than the threshold."""
        limit = math.log1p(self.threshold)
        return self._evidence(lambda value: value < limit, lambda value: value != limit)

    def _evidence(self, speaks: Callable[[float], bool], counts: Callable[[float], bool]) -> float:
        values = [value for value in self.log_ratios if counts(value)]
        return e_value(sum(map(speaks, values)), len(values))

    @property
    def ratio(self) -> float | None:
        """The median ratio; None without pairs."""
        return math.exp(statistics.median(self.log_ratios)) if self.log_ratios else None

    def interval(self, confidence: float = INTERVAL_CONFIDENCE) -> tuple[float, float] | None:
        """The exact interval of the median ratio, the sign test inverted; None for too few pairs.

        Of n pairs, the k-th smallest and the k-th largest enclose the median unless fewer than k of n fair
        coins fall on one side.
        """
        values, count = sorted(self.log_ratios), len(self.log_ratios)
        rank, tail = 0, 0.0
        while True:
            tail += math.comb(count, rank) / 2**count
            if 2 * tail > 1 - confidence:
                break
            rank += 1
        if rank == 0:
            return None
        return math.exp(values[rank - 1]), math.exp(values[count - rank])

    def smallest_effect(self, needed: float = 1 / ALPHA) -> float | None:
        """The smallest slow-down that these pairs would have shown: with the spread they have, around it.

        None where no slow-down could be shown by so few pairs.
        """
        count, ratio = len(self.log_ratios), self.ratio
        against = next((k for k in range(count + 1) if e_value(k, count) >= needed), None)
        if against is None or ratio is None:
            return None
        around = sorted((value - math.log(ratio) for value in self.log_ratios), reverse=True)
        return max(0.0, math.expm1(-around[against - 1]))


def holm(evidence: Sequence[float], others: int = 0, alpha: float = ALPHA) -> list[bool]:
    """Which of several e-values reject, with Holm's correction: the i-th largest needs (K - i) / alpha.

    K counts ``others`` too, hypotheses that are tested elsewhere, at alpha / K.
    """
    order = sorted(range(len(evidence)), key=lambda index: -evidence[index])
    rejected = [False] * len(evidence)
    for rank, index in enumerate(order):
        if evidence[index] < (len(evidence) + others - rank) / alpha:
            break
        rejected[index] = True
    return rejected
