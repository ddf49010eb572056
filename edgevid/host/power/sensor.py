"""What a sensor is: its rails, the total they give, and how finely and how often it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from typing import Any


class NoSensorError(Exception):
    """This device has no such sensor."""


class SensorError(Exception):
    """A sensor exists, and cannot be read or does not work; ``remedy`` says what to do."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


@dataclass(frozen=True)
class Samples:
    """What a sampler read: times in seconds of the monotonic clock, and per column the raw numbers.

    ``failed`` reads gave no sample, the last one for the reason ``why``. ``cpu`` is the core that the sampler
    was pinned to, ``cpu_s`` the processor time that it took.
    """

    times_s: list[float]
    columns: list[list[float]]
    failed: int = 0
    why: str = ""
    cpu: int | None = None
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Rail:
    """One measured line, or one energy counter.

    ``scale`` times the product of the raw ``columns`` is its power in watts, or its counter in joules;
    ``resolution`` is the smallest step of that. A counter starts again at 0 after ``wrap``, in raw units.
    """

    label: str
    columns: tuple[int, ...]
    scale: float
    resolution: float
    wrap: float | None = None
    absolute: bool = False
    """The sign of the reading has no meaning."""

    def values(self, samples: Samples) -> list[float]:
        """Watts, or joules of a counter that never wraps."""
        raw = [prod(row) for row in zip(*(samples.columns[column] for column in self.columns))]
        if self.wrap is not None:
            raw = unwrapped(raw, self.wrap)
        return [abs(value) * self.scale if self.absolute else value * self.scale for value in raw]


@dataclass(frozen=True)
class Sensor:
    """Something that a sampler can read many times.

    ``total`` has the labels whose sum is the power of ``scope`` ("module", "board", "GPU"), with nothing
    counted twice; it is empty where no rule is known, for the reason ``why_no_total``. ``update_s`` is how
    often the device itself measures, or over how long it averages; ``interval_s`` how often to read it.
    ``refine`` returns the sensor with what only its samples tell, such as the unit of a battery's current.
    """

    name: str
    scope: str
    rails: tuple[Rail, ...]
    total: tuple[str, ...]
    source: dict[str, Any]
    is_counter: bool = False
    update_s: float = 0.1
    interval_s: float = 0.05
    simulated: bool = False
    why_no_total: str = ""
    shortest_window_s: float = 0.0
    """Warn if the window is shorter."""
    refine: Callable[[Sensor, Samples], Sensor] = field(default=lambda sensor, samples: sensor)

    def describe(self) -> str:
        """A line such as ``INA3221: VDD_IN, VDD_SOC; module = VDD_IN``, marked if it is simulated."""
        mark = " (simulated)" if self.simulated else ""
        labels = ", ".join(rail.label for rail in self.rails)
        total = f"{self.scope} = {' + '.join(self.total)}" if self.total else self.why_no_total
        return f"{self.name}{mark}: {labels}; {total}"

    def total_rails(self) -> list[Rail]:
        return [rail for rail in self.rails if rail.label in self.total]


def unwrapped(raw: Sequence[float], wrap: float) -> list[float]:
    """A counter that went on where it started again at 0; it is read more than once per round."""
    rounds, result = 0, list(raw[:1])
    for before, now in pairwise(raw):
        rounds += now < before
        result.append(now + rounds * wrap)
    return result
