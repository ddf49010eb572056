"""Find the most accurate option within the budgets, and its neighbors, and measure few options for it.

An option is skipped if it takes too much in any case, by its MACs and by what others took for theirs. What is
left is measured in one process each, most accurate first, until one is within the budgets. The proposal and
its neighbors are then measured side by side, in several rounds, which may change it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edgevid.benchmarks.compare.accuracy import Evaluate, of_measured
from edgevid.benchmarks.compare.comparison import Comparison, Tools
from edgevid.benchmarks.compare.notes import notes_of
from edgevid.benchmarks.compare.points import mark_pareto
from edgevid.benchmarks.search.budget import Budget, amounts, load
from edgevid.benchmarks.search.predict import Predictor
from edgevid.benchmarks.search.space import Option, cheapest_first
from edgevid.errors import EdgevidError

FASTER = 0.97
"""A step down takes at most this share of what the proposal takes: anything above may be noise."""
OVER = 2
"""With a data set, the accuracy of this many options over the budgets is measured too, for the step up."""

Point = dict[str, Any]
Proposal = tuple[Option | None, Option | None, Option | None]
"""The step up, the best option within the budgets, and the step down."""


class Search:
    """``points`` are those of the measured options; ``failures`` and ``skipped`` say why others have none."""

    def __init__(
        self,
        options: Sequence[Option],
        budgets: Sequence[Budget],
        tools: Tools,
        rounds: int,
        seed: int | None = None,
    ) -> None:
        self._options, self._budgets, self._tools = options, budgets, tools
        self._rounds, self._seed = rounds, seed
        self._predict = Predictor(budgets)
        self.points: dict[Option, Point] = {}
        self.failures: dict[Option, str] = {}
        self.skipped: dict[Option, str] = {}

    def run(self) -> dict[str, Any]:
        """The document of ``edgevid search --json``."""
        start = time.monotonic()
        if self._tools.evaluate is not None:
            self._options = self._evaluated(self._tools.evaluate)
        proposal, confirmed = self._propose(), set[Option]()
        while not confirmed.issuperset(chosen := [option for option in proposal if option]):
            self._measure_side_by_side(chosen)
            confirmed.update(chosen)
            proposal = self._propose()
        return self._document(proposal, confirmed, time.monotonic() - start)

    def _evaluated(self, evaluate: Evaluate) -> list[Option]:
        """The options with measured accuracies: those within the budgets, and the cheapest above."""
        found: list[Option] = []
        over = 0
        for option in cheapest_first(self._options):
            if over == OVER:
                self.skipped[option] = "cheaper ones are over the budget already"
            elif point := self._measured(option, whatever=True):
                over += not self._fits(option)
                self._tools.say(f"{option.candidate.title}: measuring its accuracy ...")
                try:
                    point["accuracy"] = of_measured(evaluate(point["bundle"]))
                except EdgevidError as error:
                    self.failures[option] = str(error)
                else:
                    found.append(replace(option, accuracy=point["accuracy"]))
        return found

    def _propose(self) -> Proposal:
        ordered = sorted(
            (option for option in self._options if option.top1 is not None and option not in self.failures),
            key=lambda option: (-(option.top1 or 0.0), option.macs or 0.0),
        )
        for option in cheapest_first(ordered):  # the first shows what a MAC takes here
            if self._measured(option, whatever=True):
                break
        best = next((option for option in ordered if self._fits(option)), None)
        if best is None:
            return self._least_over(ordered), None, None
        position = ordered.index(best)
        better = [option for option in ordered[:position] if (option.top1 or 0.0) > (best.top1 or 0.0)]
        return self._least_over(better), best, self._faster(ordered[position + 1 :], best)

    def _least_over(self, options: Sequence[Option]) -> Option | None:
        """Of options that are over the budgets, the one that is so by the least."""
        untried = sorted(options, key=self._predict.least_load)
        while untried and not any(option in self.points for option in options):
            self._measured(untried.pop(0), whatever=True)
        measured = [option for option in options if option in self.points]
        return min(measured, key=self._load, default=None)

    def _faster(self, options: Sequence[Option], best: Option) -> Option | None:
        """The most accurate of ``options`` that takes less than ``best``."""
        limit = FASTER * self._load(best)
        for option in options:
            if option not in self.points and self._predict.least_load(option) > limit:
                self.skipped[option] = "it takes no less than a more accurate one"
            elif self._measured(option) and self._load(option) <= limit:
                return option
        return None

    def _load(self, option: Option) -> float:
        return load(self.points[option], self._budgets)

    def _fits(self, option: Option) -> bool:
        return self._measured(option) is not None and self._load(option) <= 1

    def _measured(self, option: Option, whatever: bool = False) -> Point | None:
        """The option's point, from the store or one process; None if it fails.

        None also if it is over the budgets in any case, unless ``whatever``.
        """
        if option in self.points or option in self.failures:
            return self.points.get(option)
        least = self._predict.least_load(option)
        if least > 1 and not whatever:
            self.skipped[option] = f"it takes at least {least:.2g} times the budget"
            return None
        self.skipped.pop(option, None)
        comparison = Comparison(self._tools)
        comparison.measure([option.candidate], rounds=1)
        for failure in comparison.failures:
            self.failures[option] = failure["why"]
        for point in comparison.points:
            self._keep(option, point)
        return self.points.get(option)

    def _measure_side_by_side(self, options: Sequence[Option]) -> None:
        comparison = Comparison(replace(self._tools, stored=None))
        comparison.measure([option.candidate for option in options], self._rounds, self._seed)
        points = {point["bundle"]: point for point in comparison.points}
        for option in options:
            point = points.get(self.points[option]["bundle"])
            if point is not None:
                self._keep(option, point)

    def _keep(self, option: Option, point: Point) -> None:
        before = self.points.get(option)
        self.points[option] = {**point, "accuracy": before["accuracy"] if before else option.accuracy}
        self._predict.learn(option, point)

    def _document(self, proposal: Proposal, confirmed: set[Option], seconds: float) -> dict[str, Any]:
        up, best, down = proposal
        without = [option for option in self._options if option.top1 is None and option not in self.points]
        reasons = {
            **dict.fromkeys(without, "nobody published its accuracy for this input and precision"),
            **self.skipped,
        }
        points = list(self.points.values())
        mark_pareto(points)
        return {
            "budget": {str(budget): budget.limit for budget in self._budgets},
            "best": self.points[best] if best else None,
            "step_up": self._step(best, up),
            "step_down": self._step(best, down),
            "points": points,
            "failures": [{**option.facts(), "why": why} for option, why in self.failures.items()],
            "skipped": [{**option.facts(), "why": why} for option, why in reasons.items()],
            "notes": notes_of(points),
            "rounds": self._rounds,
            "seconds": seconds,
        }

    def _step(self, best: Option | None, other: Option | None) -> dict[str, Any] | None:
        """Another point, its load, and what it has more than the proposal: less where below 0."""
        if other is None:
            return None
        point, step = (
            self.points[other],
            {"point": self.points[other], "load": self._load(other), "more": None},
        )
        if best is not None:
            step["more"] = {
                name: None if value is None or here is None else value - here
                for (name, value), here in zip(amounts(point).items(), amounts(self.points[best]).values())
            }
        return step
