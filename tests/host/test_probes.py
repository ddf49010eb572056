"""The target's power probe observes a measurement; its fields, or the reason for none, are in the result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevid.errors import BenchmarkError, UnknownNameError
from edgevid.host import probes
from edgevid.host.power.probe import SensorProbe
from edgevid.host.power.sensor import NoSensorError, Rail, Sensor, SensorError
from edgevid.host.probes import PROBES, NullProbe, Probe, power_probe
from edgevid.specs import Availability, PowerSource
from edgevid.specs.registry import Registry
from edgevid.targets import TARGETS


class Meter:
    name, title = "meter", "A power meter (simulated)"

    def __init__(self, ok: bool = True) -> None:
        self.here = Availability(ok, "a meter", "" if ok else "it is unplugged", "plug it in")
        self.seen = []

    def available(self) -> Availability:
        return self.here

    def __enter__(self):
        self.seen.append("enter")
        return self

    def __exit__(self, *error):
        self.seen.append("exit")

    def fields(self):
        return {"power_w": 5.0}


@pytest.fixture
def plug(monkeypatch):
    def plug(meter):
        registry = Registry("probe", "probes")
        registry.register(meter.name, meter)
        monkeypatch.setattr(probes, "PROBES", registry)
        return power_probe(PowerSource("meter"))

    return plug


def test_the_probe_that_a_target_names_is_taken(plug):
    meter = Meter()
    assert plug(meter) is meter


def test_one_that_cannot_observe_gives_its_reason(plug):
    probe = plug(Meter(ok=False))
    with probe:
        pass
    assert probe.fields() == {
        "power_w": None,
        "why_no_power": "no power sensor could be read (it is unplugged)",
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "does not name a power sensor"),
        (PowerSource("rapel"), "unknown probe 'rapel': did you mean rapl"),
    ],
)
def test_without_a_probe_the_reason_is_told(source, words):
    assert words in power_probe(source).fields()["why_no_power"]


def fake_probe(name, sensor, automatic=True):
    """A ``SensorProbe`` whose sensor is found, is missing or cannot be read."""

    def find(files, rails):
        if isinstance(sensor, Exception):
            raise sensor
        return replace(sensor, name=f"{name} {'+'.join(rails)}".strip())

    return SensorProbe(name, name, find, idle_s=0, automatic=automatic)


WORKS = Sensor("", "board", (Rail("all", (0,), 1.0, 0.0),), ("all",), {})
ABSENT = NoSensorError("no zone here")
LOCKED = SensorError("only root can read it", "run as root")


@pytest.fixture
def choose(monkeypatch):
    """``power_probe`` of a machine with a meter of someone else's, rails, a GPU and counters, as given."""

    def choose(source=None, asked=None, rails=ABSENT, gpu=ABSENT, counters=ABSENT):
        registry = Registry("probe", "probes")
        for probe in (
            Meter(),
            fake_probe("rails", rails),
            fake_probe("gpu", gpu, automatic=False),
            fake_probe("counters", counters),
        ):
            registry.register(probe.name, probe)
        monkeypatch.setattr(probes, "PROBES", registry)
        return power_probe(source, asked)

    return choose


def test_another_sensor_is_taken_where_the_targets_is_missing(choose):
    assert choose(PowerSource("counters"), rails=WORKS).name == "rails"
    assert choose(None, counters=WORKS).name == "counters"
    assert choose(PowerSource("rapel"), counters=WORKS).name == "counters"


def test_but_none_that_measures_only_a_part_that_may_be_idle(choose):
    probe = choose(PowerSource("counters"), gpu=WORKS)
    assert probe.fields()["why_no_power"] == "no power sensor could be read (no zone here)"
    assert choose(PowerSource("gpu"), gpu=WORKS).name == "gpu"


def test_and_none_in_place_of_one_that_only_root_can_read(choose):
    probe = choose(PowerSource("counters"), counters=LOCKED, rails=WORKS)
    with probe:
        pass
    assert probe.name == "counters" and "run as root" in probe.fields()["warnings"][0]


def test_the_rails_of_the_targets_file_reach_its_sensor(choose):
    probe = choose(PowerSource("rails", ("VDD_IN", "VDD_SOC")), rails=WORKS)
    assert probe.available().what.startswith("rails VDD_IN+VDD_SOC")


@pytest.mark.parametrize("asked", ["auto", "counters"])
@pytest.mark.parametrize(("state", "words"), [(ABSENT, "no zone here"), (LOCKED, "run as root")], ids=str)
def test_what_was_asked_for_and_cannot_be_measured_is_an_error(choose, asked, state, words):
    with pytest.raises(BenchmarkError, match=words):
        choose(PowerSource("counters"), asked, counters=state)


def test_what_was_asked_for_is_taken_and_required(choose):
    probe = choose(PowerSource("counters"), "rails", counters=WORKS, rails=WORKS)
    assert (probe.name, probe.required) == ("rails", True)
    probe = choose(PowerSource("counters"), "auto", counters=WORKS)
    assert (probe.name, probe.required) == ("counters", True)
    assert choose(None, "meter").name == "meter"
    with pytest.raises(UnknownNameError, match="unknown probe 'rial'"):
        choose(None, "rial")


def test_an_address_is_an_external_meter_and_none_is_none(choose):
    probe = choose(None, "csv:watts.csv")
    assert (probe.title, probe.required) == ("External meter", True)
    assert choose(None, "none", rails=WORKS).fields()["why_no_power"] == "--power none"


@pytest.mark.parametrize("probe", [*PROBES.values(), NullProbe("no reason")], ids=lambda probe: probe.name)
def test_every_probe_is_entered_left_and_asked(probe):
    assert isinstance(probe, Probe)
    here = probe.available()
    assert here.ok or here.why
    with probe:
        pass
    assert probe.fields()["power_w"] or probe.fields()["why_no_power"]


def test_every_target_that_names_a_probe_names_one_that_there_is():
    assert {target.power.sensor for target in TARGETS.values() if target.power} <= set(PROBES)
