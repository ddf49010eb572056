"""The fields of a result about power, from a sensor's samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import hypot
from typing import Any

from edgevid.host.power.energy import Energy, Series, Window, energy_of_counter, energy_of_power
from edgevid.host.power.sensor import Rail, Samples, Sensor, SensorError


@dataclass(frozen=True)
class Observation:
    """What a sensor read around a ``window``, and before it in the ``idle`` window, if there was one."""

    sensor: Sensor
    samples: Samples
    window: Window
    idle: Window | None = None

    def fields(self) -> dict[str, Any]:
        """``power_w`` is gross, ``energy_j`` net: without idle power times the window's duration.

        ``SensorError`` if the samples give no power.
        """
        try:
            sensor = self.sensor.refine(self.sensor, self.samples)
            total = self._total(sensor)
            return {**total, "power_sensor": self._record(sensor), "warnings": self._warnings(total)}
        except ValueError as error:
            raise SensorError(f"{self.sensor.name}: {error}", "measure longer (--duration)") from None

    def _total(self, sensor: Sensor) -> dict[str, Any]:
        rails = sensor.total_rails()
        if not rails:
            return nothing(sensor.why_no_total)
        gross = energy(sensor, rails, self.samples, self.window)
        if gross.joules == 0:
            raise SensorError(f"{sensor.name} reads a constant 0", "use another sensor, or an external meter")
        seconds = self.window.seconds
        joules, uncertainty_j, idle_w = gross.joules, gross.uncertainty_j, None
        if self.idle is not None:
            idle = energy(sensor, rails, self.samples, self.idle)
            ratio = seconds / self.idle.seconds
            idle_w = idle.joules / self.idle.seconds
            joules -= idle.joules * ratio
            uncertainty_j = hypot(uncertainty_j, idle.uncertainty_j * ratio)
        return {
            "power_w": gross.joules / seconds,
            "idle_power_w": idle_w,
            "energy_j": joules,
            "energy_j_uncertainty": uncertainty_j,
            "why_no_power": "",
        }

    def _record(self, sensor: Sensor) -> dict[str, Any]:
        seconds = self.window.seconds
        means = {
            rail.label: energy(sensor, [rail], self.samples, self.window).joules / seconds
            for rail in sensor.rails
        }
        inside = Series(self.samples.times_s, ()).between(self.window.start, self.window.end)
        return {
            "name": sensor.name,
            "scope": sensor.scope if sensor.total else None,
            "rails": means,
            "total": list(sensor.total),
            "samples": len(inside),
            "failed_reads": self.samples.failed,
            "window_s": seconds,
            "idle_s": self.idle.seconds if self.idle else 0.0,
            "sampler_core": self.samples.cpu,
            "sampler_cpu_s": self.samples.cpu_s,
            "simulated": sensor.simulated,
        }

    def _warnings(self, total: dict[str, Any]) -> list[str]:
        sensor, seconds = self.sensor, self.window.seconds
        warnings = []
        joules, uncertainty_j = total["energy_j"], total["energy_j_uncertainty"]
        if joules is not None and joules < uncertainty_j:
            warnings.append(
                f"the energy above idle ({joules:.3g} J) is within its uncertainty ({uncertainty_j:.2g} J): "
                "stop other programs, and measure longer (--duration)"
            )
        if seconds < sensor.shortest_window_s:
            warnings.append(
                f"{sensor.name} measures too slowly for a window of {seconds:.3g} s: "
                f"use --duration {sensor.shortest_window_s:g} or more"
            )
        if self.samples.failed:
            warnings.append(
                f"{self.samples.failed} reads of {sensor.name} failed, the last one because "
                f"{self.samples.why}: check the sensor with 'edgevid doctor'"
            )
        return warnings


def energy(sensor: Sensor, rails: list[Rail], samples: Samples, window: Window) -> Energy:
    """The energy of the sum of ``rails``, which are read together."""
    values = [sum(row) for row in zip(*(rail.values(samples) for rail in rails))]
    resolution = hypot(*(rail.resolution for rail in rails))
    series = Series(samples.times_s, values)
    if sensor.is_counter:
        if any(after < before for before, after in pairwise(values)):
            raise SensorError(f"the counter of {sensor.name} went back", "measure again")
        return energy_of_counter(series, window, resolution, sensor.update_s)
    return energy_of_power(series, window, resolution, sensor.update_s, sensor.interval_s)


def nothing(why: str) -> dict[str, Any]:
    """The fields of a measurement without power, for the reason ``why``."""
    return {
        "power_w": None,
        "idle_power_w": None,
        "energy_j": None,
        "energy_j_uncertainty": None,
        "why_no_power": why,
    }
