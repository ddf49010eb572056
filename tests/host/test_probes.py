"""The target's power probe observes a measurement; its fields, or the reason for none, are in the result."""

from __future__ import annotations

import pytest

from edgevid.host import probes
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
