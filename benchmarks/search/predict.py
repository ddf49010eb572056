"""The least that a network takes of a budget, from its MACs and from what others took for each of theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from edgevid.benchmarks.search.budget import KEYS, Budget, amounts
from edgevid.benchmarks.search.space import Option

PROPORTIONAL = ("latency", "energy")
OTHERS = 4.0
"""By how much another network may take less for a MAC than any that was measured."""
ITSELF = 1.5
"""By how much the network itself may, with other frames or pixels."""


class Predictor:
    """Learns from measured points what a MAC takes, in each network and in all."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = budgets
        self._per_mac: dict[tuple[str, str, str], list[float]] = defaultdict(list)

    def learn(self, option: Option, point: dict[str, Any]) -> None:
        for kind in PROPORTIONAL:
            value = amounts(point)[KEYS[kind]]
            if value is not None and option.macs:
                self._per_mac[kind, option.model, option.precision].append(value / option.macs)

    def least_load(self, option: Option) -> float:
        """The share of the budgets that it takes at least; 0 where nothing is known."""
        return max(self._least(option, budget) / budget.limit for budget in self._budgets)

    def _least(self, option: Option, budget: Budget) -> float:
        if budget.kind not in PROPORTIONAL:
            return option.weights_mib or 0.0
        own = self._per_mac.get((budget.kind, option.model, option.precision))
        every = [values for (kind, *_), values in self._per_mac.items() if kind == budget.kind]
        if not every or option.macs is None:
            return 0.0
        if own:
            return min(own) * option.macs / ITSELF
        return min(map(min, every)) * option.macs / OTHERS
