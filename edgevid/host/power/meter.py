"""The probe of an external meter that another program, a serial line or a server reads out."""

from __future__ import annotations

import urllib.parse
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from edgevid.errors import BenchmarkError
from edgevid.host.power.files import Files
from edgevid.host.power.probe import IDLE_S, SensorProbe
from edgevid.host.power.sensor import Rail, Samples, Sensor, SensorError

FORMS = "csv:PATH, serial:DEVICE[:BAUD] or http://HOST[:PORT]/PATH"
BAUD = 9600
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
POLL_S = 0.02
HTTP_POLL_S = 0.2


def is_meter(spec: str) -> bool:
    """Whether ``spec`` has the form of a meter's address, and not of a probe's name."""
    return ":" in spec


def meter_probe(spec: str, idle_s: float = IDLE_S) -> SensorProbe:
    """A probe of the meter at ``spec`` (``FORMS``), each of whose lines is a number in watts.

    It is required: without its numbers there is no measurement. ``BenchmarkError`` for a wrong ``spec``.
    """
    source = _source(spec)
    interval_s = HTTP_POLL_S if "http" in source else POLL_S
    sensor = Sensor(
        f"meter ({next(iter(source))})",  # its address may hold a password
        "external meter",
        (Rail("meter", (0,), 1.0, 0.0),),
        ("meter",),
        source,
        update_s=interval_s,
        interval_s=interval_s,
        refine=_refined,
    )

    def find(files: Files, rails: tuple[str, ...]) -> Sensor:
        if "csv" in source and not Path(source["csv"]).is_file():
            raise SensorError(f"there is no file {source['csv']}", "start the program that writes it")
        return sensor

    probe = SensorProbe("meter", "External meter", find, idle_s=idle_s, automatic=False)
    return probe.configured(required=True)


def _source(spec: str) -> dict[str, Any]:
    kind, _, rest = spec.partition(":")
    if kind == "csv" and rest:
        return {"csv": rest}
    if kind == "serial" and rest:
        device, _, baud = rest.rpartition(":") if ":" in rest else (rest, "", str(BAUD))
        if baud not in map(str, BAUDS):
            raise BenchmarkError(
                f"'{baud}' is no baud rate of a meter: use one of {', '.join(map(str, BAUDS))}"
            )
        return {"serial": device, "baud": int(baud)}
    if kind in ("http", "https") and urllib.parse.urlsplit(spec).hostname:
        return {"http": spec}
    raise BenchmarkError(f"'{spec}' is not the address of a power meter: use {FORMS}")


def _refined(sensor: Sensor, samples: Samples) -> Sensor:
    """How often and how finely it measures, as its lines show."""
    (values,), (rail,) = samples.columns, sensor.rails
    gaps = [after - before for before, after in pairwise(samples.times_s)]
    decimals = max(-int(Decimal(repr(value)).normalize().as_tuple().exponent) for value in values)
    return replace(
        sensor,
        update_s=median(gaps) if gaps else sensor.update_s,
        rails=(replace(rail, resolution=10.0 ** -max(0, decimals)),),
    )
