"""Probes observe the device while a network runs, for example its power.

A probe is entered before the first measured inference and exited after the last; then ``fields`` returns its
observations. A target's TOML names its power probe as ``power.sensor``.

To add one, write a module here with its ``PROBE``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from edgevid.errors import UnknownNameError
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
        ``why_no_power`` is the reason, in a sentence.
        """
        ...


PROBES: Registry[Probe] = Registry("probe", "probes", instance_of(Probe))  # type: ignore[type-abstract]

for _module in submodules(__path__, __name__):
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


def power_probe(source: PowerSource | None) -> Probe:
    """The target's power probe if it can observe this machine, else a ``NullProbe`` with the reason."""
    if source is None:
        return NullProbe("the target's file does not name a power sensor")
    try:
        probe = PROBES[source.sensor]
    except UnknownNameError as error:
        return NullProbe(str(error))
    availability = probe.available()
    if availability.ok:
        return probe
    return NullProbe(f"no power sensor could be read ({availability.why})")
