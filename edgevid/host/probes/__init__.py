"""Probes: what is observed of the device while a network runs, such as its power.

A probe is entered before the first inference that counts and left after the last; then ``fields`` says what
it saw. A target's TOML names the probe that reads its power as ``power.sensor``.

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
    """One kind of observation; ``name`` is what a target's file calls it."""

    name: str
    title: str

    def available(self) -> Availability:
        """Whether it can observe this machine now; if not, why, and what to do."""
        ...

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: object) -> None: ...

    def fields(self) -> Mapping[str, Any]:
        """What it saw between enter and exit, by the keys of a result.

        ``power_w`` is the mean power in watts, of the whole device as far as the probe sees it, or None;
        then ``why_no_power`` is the reason, in a sentence.
        """
        ...


PROBES: Registry[Probe] = Registry("probe", "probes", instance_of(Probe))  # type: ignore[type-abstract]

for _module in submodules(__path__, __name__):
    PROBES.register(_module.PROBE.name, _module.PROBE)


class Unobserved:
    """In the place of a probe that there is not, or that cannot observe here, for the reason ``why``."""

    name, title = "none", "No probe"

    def __init__(self, why: str) -> None:
        self.why = why

    def available(self) -> Availability:
        return Availability(False, self.title, self.why)

    def __enter__(self) -> Unobserved:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fields(self) -> dict[str, Any]:
        return {"power_w": None, "why_no_power": self.why}


def power_probe(source: PowerSource | None) -> Probe:
    """The probe that a target's file names, if it can observe this machine; else one that says why not."""
    if source is None:
        return Unobserved("the target's file names no probe that reads its power")
    try:
        probe = PROBES[source.sensor]
    except UnknownNameError as error:
        return Unobserved(str(error))
    here = probe.available()
    return probe if here.ok else Unobserved(f"no power sensor could be read ({here.why})")
