"""Power and energy of one result, from the fields of its power probe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def power_fields(power: Mapping[str, Any], clips: float, frames: float, elapsed_s: float) -> dict[str, Any]:
    """The keys of a result about power; energies are millijoules per clip and frame.

    They are net where the probe measured idle power, and null without a sensor.
    """
    power_w = power["power_w"]
    energy_j = power.get("energy_j")
    if energy_j is None and power_w is not None:  # a probe that measures no idle power
        energy_j = power_w * elapsed_s
    uncertainty_j = power.get("energy_j_uncertainty")
    return {
        "power_w": power_w,
        "idle_power_w": power.get("idle_power_w"),
        "energy_mj_per_clip": _per(energy_j, clips),
        "energy_mj_per_clip_uncertainty": _per(uncertainty_j, clips),
        "energy_mj_per_frame": _per(energy_j, frames),
        "power_sensor": power.get("power_sensor"),
        "why_no_power": power.get("why_no_power", ""),
    }


def _per(joules: float | None, count: float) -> float | None:
    return None if joules is None else 1000 * joules / count


def power_line(result: Mapping[str, Any]) -> str:
    """A line about the power of ``result`` and what it covers, or why there is none."""
    sensor = result.get("power_sensor") or {}
    if result["power_w"] is None:
        rails = [f"{label} {watts:.3g} W" for label, watts in sensor.get("rails", {}).items()]
        shown = f"; its rails: {', '.join(rails)}" if rails else ""
        return f"power: not measured, {result['why_no_power']}{shown}"
    uncertainty = result.get("energy_mj_per_clip_uncertainty")
    bound = "" if uncertainty is None else f" +- {uncertainty:.2g}"
    energy = f"{result['energy_mj_per_clip']:.4g}{bound} mJ per clip"
    if result.get("idle_power_w") is not None:
        energy = f"idle {result['idle_power_w']:.3g} W; {energy} above idle"
    simulated = ", simulated" if sensor.get("simulated") else ""
    source = f" ({sensor['scope']}, {sensor['name']}{simulated})" if sensor else ""
    return f"power: {result['power_w']:.3g} W{source}, {energy}"
