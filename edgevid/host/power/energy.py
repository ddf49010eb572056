"""Energy between two times, and its uncertainty, from samples of power or of an energy counter.

The uncertainty U is expanded: the true energy lies within E +- U in about 95 of 100 windows (k = 2, or
Student's t where there are few samples). It combines, as the square root of the sum of squares,

* **sampling** (power only): with N samples, one per step h = max(interval, update) at a random time in it,
  T * sqrt(D / 2 / N), where D is the mean square of the difference between a sample and the one h before.
  The energy of independent samples has this standard error; a trend or a step gives less than this.
* **resolution**: readings are rounded to steps r, equally likely anywhere in a step. The error of the power
  of a rail may be the same in every sample: T * r / sqrt(12); a counter's is that of its two ends:
  r / sqrt(6). Rails add as squares.
* **window ends**: a reading is up to L = update + interval old (L = update for a counter, which is read at
  both ends), so that samples cover a window that began and ended earlier: L * R / 2, where R is the range
  of the power that the samples within L of the ends show. For a counter, whose ends are late by different
  times, also L * P / sqrt(6) with the largest power P there, and e / sqrt(3) where interpolation gives the
  energy e between an end and the nearest read.

It does not contain the sensor's calibration, which no reading tells (INA3221: below 1 %; external meters:
see their sheet), nor a change of the idle power while the network runs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, hypot, sqrt


@dataclass(frozen=True)
class Energy:
    """Joules in a window, their expanded uncertainty, and the number of samples in it."""

    joules: float
    uncertainty_j: float
    samples: int


@dataclass(frozen=True)
class Window:
    """From ``start`` to ``end``, in seconds of the samples' clock."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Series:
    """The ``values`` at ``times``: joules of a counter, or watts."""

    times: Sequence[float]
    values: Sequence[float]

    def at(self, time: float) -> float:
        """Interpolated; the nearest value outside the samples."""
        after = bisect_right(self.times, time)
        if after == 0 or after == len(self.times):
            return self.values[min(after, len(self.times) - 1)]
        t0, t1 = self.times[after - 1], self.times[after]
        share = (time - t0) / (t1 - t0)
        return self.values[after - 1] * (1 - share) + self.values[after] * share

    def between(self, start: float, end: float) -> range:
        """The indexes of the samples from ``start`` to ``end``."""
        return range(bisect_left(self.times, start), bisect_right(self.times, end))


def energy_of_power(
    series: Series, window: Window, resolution_w: float, update_s: float, interval_s: float
) -> Energy:
    """The integral of watts by trapezoids; ``ValueError`` if no two samples lie in the window."""
    inside = series.between(window.start, window.end)
    if len(inside) < 2:
        raise ValueError(f"{len(inside)} samples in a window of {window.seconds:.3g} s are too few")
    times = [window.start, *(series.times[i] for i in inside), window.end]
    watts = [series.values[i] for i in inside]
    held = [watts[0], *watts, watts[-1]]  # a reading before or after the window may be of another load
    joules = sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in pairwise(zip(times, held)))

    spacing = window.seconds / len(inside)
    lag = max(1, ceil(update_s / spacing - 1e-6))
    differences = [after - before for before, after in zip(watts, watts[lag:])] or [max(watts) - min(watts)]
    independent = len(inside) / lag
    mean_square = sum(value * value for value in differences) / len(differences)
    sampling = window.seconds * sqrt(mean_square / 2 / max(1.0, independent))
    resolution = window.seconds * resolution_w / sqrt(12)
    late = update_s + interval_s
    ends = [watts[0], watts[-1]] + [
        watt for time, watt in zip(times[1:], watts) if time < window.start + late or time > window.end - late
    ]
    ends_j = late * (max(ends) - min(ends)) / 2
    uncertainty = coverage(independent) * hypot(sampling, resolution, ends_j)
    return Energy(joules, uncertainty, len(inside))


def energy_of_counter(series: Series, window: Window, resolution_j: float, update_s: float) -> Energy:
    """The difference of the counter at both ends; ``ValueError`` if the samples do not enclose the window."""
    if len(series.times) < 2 or series.times[0] > window.start or series.times[-1] < window.end:
        raise ValueError("the samples of the counter do not enclose the window")
    inside = series.between(window.start, window.end)
    joules = series.at(window.end) - series.at(window.start)
    powers = _powers_before(series, window.start, update_s) + _powers_before(series, window.end, update_s)
    resolution = resolution_j / sqrt(6)
    ends_j = hypot(update_s * max(powers) / sqrt(6), update_s * (max(powers) - min(powers)) / 2)
    between_reads = hypot(*(_between_reads(series, time) for time in (window.start, window.end)))
    return Energy(joules, 2 * hypot(resolution, ends_j, between_reads), len(inside))


def _powers_before(series: Series, time: float, update_s: float) -> list[float]:
    """The mean powers of the last two stretches of a few updates before ``time``."""
    step = max(5 * update_s, 0.02)
    edges = [max(time - count * step, series.times[0]) for count in (2, 1, 0)]
    return [(series.at(t1) - series.at(t0)) / (t1 - t0) for t0, t1 in pairwise(edges) if t1 > t0] or [0.0]


def _between_reads(series: Series, time: float) -> float:
    """The uncertainty in joules of a counter at ``time``, which lies between two reads.

    Interpolation gives the shorter part the mean power of both; its energy may be 0 or twice as much.
    """
    after = bisect_right(series.times, time)
    if after in (0, len(series.times)):
        return 0.0
    t0, t1 = series.times[after - 1], series.times[after]
    shorter = min(time - t0, t1 - time) / (t1 - t0)
    return shorter * (series.values[after] - series.values[after - 1]) / sqrt(3)


def coverage(samples: float) -> float:
    """The factor for 95 %: 2, or Student's t of ``samples - 1`` degrees of freedom if that is more.

    The polynomial is within 1 % of t from 3 degrees of freedom on, and at least 9.7 for one.
    """
    inverse = 1 / max(1.0, samples - 1)
    return max(2.0, 1.96 + 2.37 * inverse + 2.82 * inverse**2 + 2.55 * inverse**3)
