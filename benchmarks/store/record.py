"""A result as the rows of the store, and back: columns, the rest as JSON, and each long series of numbers."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgevid.benchmarks.store.series import pack, unpack
from edgevid.errors import BenchmarkError
from edgevid.specs.records import printable

SERIES_LENGTH = 16
"""From this length on a list of floats is a series, wherever it is in a result."""
NAMESPACE = uuid.UUID("5b5b0e0a-8a0c-4d5e-9d57-6f0f7c1f1a0e")

Path = tuple["str | int", ...]
Columns = Mapping[str, tuple[type, Path]]
"""What can be searched for: each column with its type and its place in a record."""

COLUMNS: Columns = {
    "model": (str, ("model",)),
    "target": (str, ("target",)),
    "backend": (str, ("backend",)),
    "precision": (str, ("precision",)),
    "scenario": (str, ("scenario",)),
    "threads": (int, ("threads",)),
    "device": (str, ("environment", "device")),
    "bundle_sha256": (str, ("bundle_sha256",)),
    "edgevid_version": (str, ("environment", "edgevid", "version")),
    "edgevid_commit": (str, ("environment", "edgevid", "commit")),
    "date_utc": (str, ("environment", "date_utc")),
    "p50_ms": (float, ("latency_ms", "p50")),
    "p90_ms": (float, ("latency_ms", "p90")),
    "p99_ms": (float, ("latency_ms", "p99")),
    "clips_per_s": (float, ("throughput", "clips_per_s")),
    "peak_mib": (float, ("memory_mib", "peak")),
    "energy_mj_per_clip": (float, ("energy_mj_per_clip",)),
}


@dataclass(frozen=True)
class Rows:
    """A record as it is stored: its identity, its ``columns`` by name, and the rest as JSON.

    ``parts`` are its rows in a second table: the packed values of each series by their ``place`` in a result,
    as JSON, which has null there.
    """

    identity: str
    columns: dict[str, Any]
    record: str
    parts: list[dict[str, Any]]


def to_rows(result: dict[str, Any]) -> Rows:
    """Raises ``BenchmarkError`` if it is not one result of ``edgevid bench --json``."""
    if not isinstance(result, dict) or not all(
        isinstance(result.get(key), str) for key in ("model", "scenario")
    ):
        raise BenchmarkError("this is not a result of 'edgevid bench': it names no model or no scenario")
    result = {**result, "measurement_id": identify(result, "measurement_id")}
    series: dict[str, bytes] = {}
    try:
        record = json.dumps(_without_series(result, (), series), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise BenchmarkError(f"this result is not JSON ({error}), so it cannot be stored") from error
    parts = [{"place": place, "data": data} for place, data in series.items()]
    return Rows(result["measurement_id"], dict(columns_of(result, COLUMNS)), record, parts)


def from_rows(record: str, parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The result that ``to_rows`` was given, with its ``measurement_id``."""
    result = json.loads(record)
    for part in parts:
        *path, last = json.loads(part["place"])
        _at(result, path)[last] = unpack(bytes(part["data"]))
    return result


def identify(record: dict[str, Any], key: str) -> str:
    """The record's ``key``, a UUID; one that follows from its content if it has none."""
    known = record.get(key)
    if known is None:
        return str(uuid.uuid5(NAMESPACE, json.dumps(record, sort_keys=True)))
    try:
        return str(uuid.UUID(known))
    except (ValueError, AttributeError, TypeError):
        raise BenchmarkError(f"the {key} of this record is not a UUID: remove it or make one") from None


def utc(text: str) -> str | None:
    """An ISO date, in UTC to the second: such texts sort by time. None if it is not a date."""
    try:
        date = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.timezone.utc)
    return date.astimezone(datetime.timezone.utc).isoformat(timespec="seconds")


def columns_of(record: dict[str, Any], columns: Columns) -> Iterator[tuple[str, Any]]:
    """Each column's value; None where the record has none of the column's type."""
    for name, (kind, path) in columns.items():
        value = _at(record, path)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (isinstance(value, int) and value >= 2**31):
            value = None
        if isinstance(value, str):
            # PostgreSQL has no text with a NUL. The record keeps the original.
            value = utc(value) if name == "date_utc" else printable(value)
        yield name, value


def _at(value: Any, path: Iterable[str | int]) -> Any:
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            return None
    return value


def _without_series(value: Any, path: Path, series: dict[str, bytes]) -> Any:
    """``value`` with None for each long list of floats, which goes to ``series``."""
    if isinstance(value, dict):
        return {key: _without_series(item, (*path, key), series) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) >= SERIES_LENGTH and all(type(item) is float for item in value):
        series[json.dumps(path)] = pack(value)
        return None
    return [_without_series(item, (*path, index), series) for index, item in enumerate(value)]
