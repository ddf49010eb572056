"""What a result says about power and energy, and in which words a table does."""

from __future__ import annotations

import pytest

from edgevid.benchmarks.harness.power import power_fields, power_line

SENSOR = {
    "name": "RAPL",
    "scope": "package + dram",
    "rails": {"package-0": 9.0, "dram": 1.0},
    "simulated": True,
}
POWER = {
    "power_w": 10.0,
    "idle_power_w": 4.0,
    "energy_j": 12.0,
    "energy_j_uncertainty": 0.3,
    "power_sensor": SENSOR,
    "why_no_power": "",
}


def test_energy_per_clip_and_frame_is_net():
    fields = power_fields(POWER, clips=100, frames=800, elapsed_s=2)
    assert fields["energy_mj_per_clip"] == pytest.approx(120)
    assert fields["energy_mj_per_frame"] == pytest.approx(15)
    assert fields["energy_mj_per_clip_uncertainty"] == pytest.approx(3)
    assert (fields["power_w"], fields["idle_power_w"], fields["power_sensor"]) == (10, 4, SENSOR)
    assert power_line(fields) == (
        "power: 10 W (package + dram, RAPL, simulated), idle 4 W; 120 +- 3 mJ per clip above idle"
    )


def test_a_probe_that_tells_power_alone_gives_gross_energy_without_a_bound():
    fields = power_fields({"power_w": 2.5}, clips=10, frames=80, elapsed_s=4)
    assert fields["energy_mj_per_clip"] == pytest.approx(1000)
    assert fields["energy_mj_per_clip_uncertainty"] is None and fields["idle_power_w"] is None
    assert power_line(fields) == "power: 2.5 W, 1000 mJ per clip"


def test_without_a_sensor_everything_is_null_with_the_reason():
    fields = power_fields({"power_w": None, "why_no_power": "no sensor"}, clips=10, frames=80, elapsed_s=4)
    assert fields.pop("why_no_power") == "no sensor"
    assert set(fields.values()) == {None}
    assert power_line({**fields, "why_no_power": "no sensor"}) == "power: not measured, no sensor"


def test_rails_without_a_total_are_shown():
    power = {"power_w": None, "why_no_power": "unknown board", "power_sensor": SENSOR}
    line = power_line(power_fields(power, clips=10, frames=80, elapsed_s=4))
    assert line == "power: not measured, unknown board; its rails: package-0 9 W, dram 1 W"
