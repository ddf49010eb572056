"""Measure the cells of a matrix one after another; what the journal has is not measured again."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.matrix.journal import Journal
from edgevid.benchmarks.matrix.plan import Cell
from edgevid.errors import EdgevidError


@dataclass(frozen=True)
class Runner:
    """Measures cells, and records each in the journal and in a store.

    ``bundle_of(cell)`` is a bundle's folder; ``measure(cell, bundle)`` returns a result; both may raise
    ``EdgevidError``. ``say`` prints a line. ``keep`` adds a result to the store, and ``known`` returns which
    measurement_ids it has.
    """

    journal: Journal
    bundle_of: Callable[[Cell], str]
    measure: Callable[[Cell, str], dict[str, Any]]
    say: Callable[[str], None]
    keep: Callable[[dict[str, Any]], None] = lambda result: None
    known: Callable[[Sequence[str]], set[str]] = set

    def run(self, cells: Sequence[Cell], retry_failed: bool = False) -> None:
        """Measure what is not finished, and with ``retry_failed`` what failed; failures go to the journal."""
        waiting = set(self.start(cells, retry_failed))
        for number, cell in enumerate(cells, 1):
            if cell in waiting:
                self.say(f"{number}/{len(cells)} {cell.title} ...")
                self._measure(cell)

    def start(self, cells: Sequence[Cell], retry_failed: bool = False) -> list[Cell]:
        """The cells to measure. The store gets what an earlier run finished and could not add."""
        self._keep_finished()
        failed = set() if retry_failed else set(self.journal.failures)
        done = self.journal.finished | failed
        if before := sum(cell.key in done for cell in cells):
            self.say(f"{before} of {len(cells)} are in '{self.journal.path}' already")
        return [cell for cell in cells if cell.key not in done]

    def record(self, cell: Cell, result: dict[str, Any]) -> None:
        """Keep a result: it is on disk when this returns."""
        exported = cell.path is None
        result = {
            "measurement_id": str(uuid.uuid4()),
            **result,
            "bundle": None if exported else cell.name,
            "exported_for_this_run": exported,
        }
        self.journal.finish(cell, result)
        self.keep(result)

    def record_failure(self, cell: Cell, reason: str) -> None:
        self.journal.fail(cell, reason)
        self.say(f"{cell.title} failed: {reason}")

    def _keep_finished(self) -> None:
        finished = self.journal.measurement_ids
        missing = set(finished) - self.known(finished)
        for _, result in self.journal.results() if missing else ():
            if result["measurement_id"] in missing:
                self.keep(result)

    def _measure(self, cell: Cell) -> None:
        try:
            bundle = self.bundle_of(cell)
            result = self.measure(cell, bundle)
        except EdgevidError as error:
            self.record_failure(cell, str(error))
        else:
            self.record(cell, result)
