"""A comparison from its candidates to the document of ``edgevid compare --json``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.compare import accuracy
from edgevid.benchmarks.compare.accuracy import Evaluate
from edgevid.benchmarks.compare.candidates import Candidate
from edgevid.benchmarks.compare.notes import notes_of
from edgevid.benchmarks.compare.points import mark_pareto, point_of
from edgevid.benchmarks.compare.rounds import ROUNDS, Measure, Progress, measure_rounds
from edgevid.benchmarks.compare.stored import usable
from edgevid.bundle.bundle import Bundle
from edgevid.errors import EdgevidError

HERE = "measured"
STORE = "store"


def quiet(anything: Any) -> None:
    pass


@dataclass(frozen=True)
class Tools:
    """What a comparison works with; tests have fakes.

    ``bundle_of`` returns the folder of a candidate's bundle, and may raise ``EdgevidError`` as ``measure``
    and ``evaluate`` may; without ``evaluate`` accuracies are those that others published.
    ``stored(bundle_sha256)`` are a store's results, to be used if they agree with ``environment()`` and
    ``threads``. ``say`` prints a line, ``show`` the progress of the rounds.
    """

    bundle_of: Callable[[Candidate], str]
    measure: Measure
    evaluate: Evaluate | None = None
    stored: Callable[[str], Iterable[dict[str, Any]]] | None = None
    environment: Callable[[], dict[str, Any]] = dict
    threads: int | None = None
    say: Callable[[str], None] = quiet
    show: Callable[[Progress], None] = quiet


@dataclass
class Entry:
    """A candidate with its bundle, and its results so far."""

    candidate: Candidate
    bundle: Bundle
    results: Sequence[dict[str, Any]] = ()
    source: str = HERE


class Comparison:
    """The points of the candidates that could be measured, and the failures of the others, in words."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.points: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def measure(self, candidates: Sequence[Candidate], rounds: int = ROUNDS, seed: int | None = None) -> None:
        """Add a point for each candidate, from the store or from one interleaved run."""
        entries = self._prepare(candidates)
        self._take_stored(entries, rounds)
        missing = {entry.candidate.title: entry for entry in entries if not entry.results}
        bundles = {title: str(entry.bundle.path) for title, entry in missing.items()}
        tools = self._tools
        results, failures = measure_rounds(bundles, rounds if bundles else 0, tools.measure, tools.show, seed)
        for title, found in results.items():
            missing[title].results = found
        for title, reason in failures.items():
            self._fail(missing[title].candidate, reason)
        self.points += [
            point_of(str(entry.bundle.path), entry.bundle.manifest, entry.results, entry.source)
            for entry in entries
            if entry.results
        ]

    def add_accuracies(self, published_on: str | None = None) -> None:
        """Measure the accuracy of each point, or take what others published, on one data set."""
        evaluate = self._tools.evaluate
        if evaluate is None:
            rows = accuracy.choose(self.points, accuracy.published(), published_on)
            for point, row in zip(self.points, rows):
                point["accuracy"] = accuracy.of_published(row)
        else:
            for number, point in enumerate(self.points, 1):
                self._tools.say(f"{number}/{len(self.points)} accuracy of {point['bundle']} ...")
                point["accuracy"] = self._evaluate(point, evaluate)
        mark_pareto(self.points)

    def document(self, seconds: float, rounds: int) -> dict[str, Any]:
        return {
            "points": self.points,
            "failures": self.failures,
            "notes": [*self.notes, *notes_of(self.points)],
            "rounds": rounds,
            "seconds": seconds,
        }

    def _prepare(self, candidates: Sequence[Candidate]) -> list[Entry]:
        """The bundles of the candidates, each once."""
        entries: dict[str, Entry] = {}
        for candidate in candidates:
            try:
                if candidate.why_not:
                    raise EdgevidError(candidate.why_not)
                bundle = Bundle.open(self._tools.bundle_of(candidate))
                entries.setdefault(bundle.sha256, Entry(candidate, bundle))
            except EdgevidError as error:
                self._fail(candidate, str(error))
        return list(entries.values())

    def _take_stored(self, entries: Sequence[Entry], newest: int) -> None:
        if self._tools.stored is None or not entries:
            return
        environment = self._tools.environment()
        for entry in entries:
            stored = self._tools.stored(entry.bundle.sha256)
            found = usable(stored, environment, self._tools.threads, newest)
            entry.results = found.results
            if found.results:
                entry.source = STORE
                self._tools.say(f"{entry.candidate.title}: {len(found.results)} processes from the store")
            else:
                self._tools.say(f"{entry.candidate.title}: to be measured, as {found.why_not}")

    def _evaluate(self, point: dict[str, Any], evaluate: Evaluate) -> dict[str, Any]:
        try:
            return accuracy.of_measured(evaluate(point["bundle"]))
        except EdgevidError as error:
            self.notes.append(f"{point['bundle']} has no accuracy: {error}")
            return accuracy.of_published(None)

    def _fail(self, candidate: Candidate, reason: str) -> None:
        self._tools.say(f"{candidate.title} failed: {reason}")
        self.failures.append({**candidate.facts(), "why": reason})


def compare(
    candidates: Sequence[Candidate],
    tools: Tools,
    rounds: int = ROUNDS,
    published_on: str | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """The document of ``edgevid compare --json``."""
    start = time.monotonic()
    comparison = Comparison(tools)
    comparison.measure(candidates, rounds, seed)
    comparison.add_accuracies(published_on)
    return comparison.document(time.monotonic() - start, rounds)
