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

COLUMNS: dict[str, tuple[type, Path]] = {
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
"""What can be searched for: each column with its type and its place in a result."""


@dataclass(frozen=True)
class Rows:
    """A result as it is stored: ``record`` is JSON with null in the place of each series."""

    measurement_id: str
    columns: dict[str, Any]
    record: str
    series: dict[str, bytes]
    """Packed values by their place in the result, as JSON."""


def to_rows(result: dict[str, Any]) -> Rows:
    """Raises ``BenchmarkError`` if it is not one result of ``edgevid bench --json``."""
    if not isinstance(result, dict) or not all(
        isinstance(result.get(key), str) for key in ("model", "scenario")
    ):
        raise BenchmarkError("this is not a result of 'edgevid bench': it names no model or no scenario")
    result = {**result, "measurement_id": identify(result)}
    series: dict[str, bytes] = {}
    try:
        record = json.dumps(_without_series(result, (), series), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise BenchmarkError(f"this result is not JSON ({error}), so it cannot be stored") from error
    return Rows(result["measurement_id"], dict(_columns(result)), record, series)


def from_rows(record: str, series: Mapping[str, bytes]) -> dict[str, Any]:
    """The result that ``to_rows`` was given, with its ``measurement_id``."""
    result = json.loads(record)
    for place, data in series.items():
        *path, last = json.loads(place)
        _at(result, path)[last] = unpack(data)
    return result


def identify(result: dict[str, Any]) -> str:
    """The result's ``measurement_id``; one that follows from its content if it has none."""
    known = result.get("measurement_id")
    if known is None:
        return str(uuid.uuid5(NAMESPACE, json.dumps(result, sort_keys=True)))
    try:
        return str(uuid.UUID(known))
    except (ValueError, AttributeError, TypeError):
        raise BenchmarkError(
            "the measurement_id of this result is not a UUID: remove it or make one"
        ) from None


def utc(text: str) -> str | None:
    """An ISO date, in UTC to the second: such texts sort by time. None if it is not a date."""
    try:
        date = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.timezone.utc)
    return date.astimezone(datetime.timezone.utc).isoformat(timespec="seconds")


def _columns(result: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each column's value; None where the result has none of the column's type."""
    for name, (kind, path) in COLUMNS.items():
        value = _at(result, path)
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
