"""Energy per inference as a metric of the gate, in pairs of its own after those of the latency.

A power sensor reads some times per second, so turns of milliseconds do not do: each process of a pair runs
for a window of a second or more. The sign tests are the same, as both processes are fresh and their order is
drawn. The energy is net of the idle power, which is read once per pair and so favors neither.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgevid.benchmarks.harness.windows import measure_windows
from edgevid.benchmarks.regress.metrics import ENERGY, PairedMetric, paired
from edgevid.benchmarks.regress.pairs import Clock, Pairs, Progress, Result, Show, decide_by_pairs
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import SensorError
from edgevid.host.probes import NullProbe, Probe

WINDOW_S, LONGEST_WINDOW_S = 1.0, 16.0
IDLE_S = 1.0
MIN_SAMPLES = 10
"""Windows with fewer are doubled."""
ATTEMPTS = 6
"""Pairs without an energy in a row, until the sensor is given up."""


class Energy:
    """The energy of two bundles, as ``probe`` reads it; ``why_not`` says why it has none.

    ``is_required``: while its verdict is inconclusive, so is the gate.
    """

    def __init__(
        self,
        probe: Probe,
        is_required: bool = False,
        measure: Callable[..., list[Result]] = measure_windows,
    ) -> None:
        self.why_not = probe.reason if isinstance(probe, NullProbe) else ""
        if isinstance(probe, SensorProbe):  # if it fails later, the other verdicts stand
            probe = probe.configured(probe.rails, idle_s=IDLE_S)
        self._probe, self._is_required, self._measure = probe, is_required, measure
        self._window_s, self._failures = WINDOW_S, 0
        self._sensor: dict[str, Any] | None = None
        self.pairs = Pairs([])

    def metric(self, threshold: float) -> PairedMetric:
        """Its metric, without any pair; also in ``pairs``."""
        measure = dataclasses.replace(ENERGY, decides=self._is_required)
        metric = paired(measure, threshold, is_expected=not self.why_not)
        self.pairs = Pairs([metric])
        return metric

    def decide(
        self,
        measured: Callable[[list[Result]], list[Result]],
        bundles: Sequence[Path],
        threads: int,
        draw: random.Random,
        budget_s: float,
        before: Pairs,
        show: Show = lambda progress: None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Measure pairs of ``bundles`` until they decide, ``budget_s`` is spent, or the sensor fails.

        ``measured`` checks the results of a pair; ``before`` are those of the other metrics.
        """

        def show_energy(progress: Progress) -> None:
            show(dataclasses.replace(progress, metric="energy"))

        self.pairs.besides, self.pairs.others = before.metrics, before.others
        try:
            decide_by_pairs(
                lambda: measured(self._pair(bundles, threads, draw)), budget_s, self.pairs, show_energy, clock
            )
        except SensorError as error:
            self.why_not = f"{error}: {error.remedy}"
        if not self.pairs.is_decided and not self.why_not:
            self.why_not = self.pairs.why_open(budget_s, "pairs of energies")

    def record(self) -> dict[str, Any]:
        """What its metric has besides the keys of the others."""
        return {
            "pairs": self.pairs.count, "discarded_pairs": self.pairs.discarded, "power_sensor": self._sensor
        }  # fmt: skip

    def _pair(self, bundles: Sequence[Path], threads: int, draw: random.Random) -> list[Result]:
        """Results of fresh processes; windows become longer until the sensor reads often enough in them."""
        results = self._measure(bundles, self._window_s, threads, draw, self._probe)
        sensors = [result["power_sensor"] for result in results]
        self._sensor = next(filter(None, sensors), self._sensor)
        if any(sensor is None or sensor["samples"] < MIN_SAMPLES for sensor in sensors):
            self._window_s = min(2 * self._window_s, LONGEST_WINDOW_S)
        if all(ENERGY.read(result) is not None for result in results):
            self._failures = 0
        else:
            self._failures += 1
        if self._failures == ATTEMPTS:
            why = next(filter(None, (result["why_no_power"] for result in results)), None)
            raise SensorError(
                why or "the energy above idle is within its uncertainty", "use a sensor that reads more often"
            )
        return results
