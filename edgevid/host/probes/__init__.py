"""Probes observe the device while a network runs, for example its power.

A probe is entered before the first measured inference and exited after the last; then ``fields`` returns its
observations. A target's TOML names its power probe as ``power.sensor``.

To add one, write a module here with its ``PROBE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from edgevid.errors import BenchmarkError, UnknownNameError
from edgevid.host.power.meter import is_meter, meter_probe
from edgevid.host.power.probe import SensorProbe
from edgevid.specs import Availability, PowerSource
from edgevid.specs.registry import Registry, instance_of, submodules


@runtime_checkable
class Probe(Protocol):
    """One kind of observation; ``name`` is its name in target files."""

    name: str
    title: str

    def available(self) -> Availability:
        """Whether it can observe this machine now; if not, the reason and a remedy."""
        ...

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: object) -> None: ...

    def fields(self) -> Mapping[str, Any]:
        """The observations between enter and exit, by the keys of a result.

        ``power_w`` is the mean power in watts of as much of the device as the probe measures, or None; then
        ``why_no_power`` is the reason, in a sentence. It may add ``idle_power_w``; ``energy_j``, the energy
        in joules without the idle power's, and ``energy_j_uncertainty`` (95 %); ``power_sensor``, an object
        that describes the sensor; ``warnings``, sentences.
        """
        ...


PROBES: Registry[Probe] = Registry("probe", "probes", instance_of(Probe))  # type: ignore[type-abstract]

for _module in submodules(__path__, __name__):
    if hasattr(_module, "PROBE"):
        PROBES.register(_module.PROBE.name, _module.PROBE)


class NullProbe:
    """Replaces a probe that does not exist or cannot observe this machine, for the given ``reason``."""

    name, title = "none", "No probe"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def available(self) -> Availability:
        return Availability(False, self.title, self.reason)

    def __enter__(self) -> NullProbe:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fields(self) -> dict[str, Any]:
        return {"power_w": None, "why_no_power": self.reason}


def prepare(probe: Probe) -> None:
    """Let ``probe`` measure what it needs before the load begins, such as idle power."""
    if isinstance(probe, SensorProbe):
        probe.prepare()


def observe(probe: Probe, runs: Sequence[Callable[[], object]]) -> list[Mapping[str, Any]]:
    """Call ``runs`` one after another; the fields of ``probe`` for each."""
    if isinstance(probe, SensorProbe):
        return list(probe.observe(runs))
    fields = []
    for run in runs:
        with probe:
            run()
        fields.append(probe.fields())
    return fields


def power_probe(source: PowerSource | None, asked: str | None = None) -> Probe:
    """The probe to measure power with, or a ``NullProbe`` with the reason for none.

    ``asked`` is what the user wants: a probe's name, the address of an external meter (``power.meter``),
    "auto" for any that works, or "none"; what was asked for and cannot be read raises ``BenchmarkError``.
    Otherwise it is the probe of the target's ``source``, or, if this device has no such sensor, another
    one that measures whatever runs here.
    """
    if asked == "none":
        return NullProbe("--power none")
    if asked is not None and is_meter(asked):
        return meter_probe(asked)
    if asked is not None and asked != "auto":
        return _required(PROBES[asked], source)
    probe, why = _found(source)
    if probe is None and asked == "auto":
        raise BenchmarkError(f"power cannot be measured: {why}: use --power none, or an external meter")
    if probe is None:
        return NullProbe(why)
    return _required(probe, source) if asked == "auto" else probe


def check_power(asked: str) -> None:
    """Raise an ``EdgevidError`` unless ``power_probe`` takes ``asked``, whatever this machine has."""
    if is_meter(asked):
        meter_probe(asked)
    elif asked not in ("auto", "none"):
        PROBES[asked]


def _found(source: PowerSource | None) -> tuple[Probe | None, str]:
    """The target's probe, or the first automatic one whose sensor this device has; else the reason."""
    probes = [probe for probe in PROBES.values() if isinstance(probe, SensorProbe) and probe.automatic]
    if source is None:
        why = "the target's file does not name a power sensor"
    elif source.sensor not in PROBES:
        why = _unknown(source.sensor)
    else:
        named = PROBES[source.sensor]
        state = named.available()
        if isinstance(named, SensorProbe):
            named = named.configured(source.rails)
            if named.exists():  # one that cannot be read, too: it says so, and how to change that
                return named, ""
        elif state.ok:
            return named, ""
        why = f"no power sensor could be read ({state.why})"
    return next((probe.configured() for probe in probes if probe.exists()), None), why


def _required(probe: Probe, source: PowerSource | None) -> Probe:
    """``probe``, which the user asked for; ``BenchmarkError`` if it cannot observe this machine."""
    state = probe.available()
    if not state.ok:
        raise BenchmarkError(f"power cannot be measured with {probe.name} ({state.why}): {state.remedy}")
    if isinstance(probe, SensorProbe):
        return probe.configured(source.rails if source and source.sensor == probe.name else (), required=True)
    return probe


def _unknown(name: str) -> str:
    try:
        return PROBES[name].title
    except UnknownNameError as error:
        return str(error)
