"""A verdict of the gate as rows of the store, and back: one for the verdict, one for each metric's ratio."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from edgevid.benchmarks.store.record import Columns, Rows, columns_of, identify
from edgevid.benchmarks.store.series import pack, unpack
from edgevid.errors import BenchmarkError

COLUMNS: Columns = {
    "model": (str, ("model",)),
    "device": (str, ("environment", "device")),
    "threads": (int, ("threads",)),
    "reference_sha256": (str, ("reference_sha256",)),
    "candidate_sha256": (str, ("candidate_sha256",)),
    "candidate_commit": (str, ("candidate_commit",)),
    "date_utc": (str, ("environment", "date_utc")),
    "verdict": (str, ("verdict",)),
}


def to_rows(record: dict[str, Any]) -> Rows:
    """Raises ``BenchmarkError`` if it is not a record of ``regress.series.record_of``."""
    record = {**record, "verdict_id": identify(record, "verdict_id")}
    try:
        parts = [_ratio(name, metric) for name, metric in record["metrics"].items()]
        for key in ("model", "reference_sha256", "verdict"):
            if not isinstance(record[key], str):
                raise TypeError(key)
        rest = {key: value for key, value in record.items() if key != "metrics"}
        text = json.dumps(rest, allow_nan=False)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BenchmarkError(f"this is not a verdict of 'edgevid regress' ({error})") from error
    return Rows(record["verdict_id"], dict(columns_of(record, COLUMNS)), text, parts)


def from_rows(record: str, parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The record that ``to_rows`` was given, with its ``verdict_id``."""
    return {**json.loads(record), "metrics": {part["metric"]: _metric(part) for part in parts}}


def _ratio(name: str, metric: dict[str, Any]) -> dict[str, Any]:
    low, high = metric["interval"]
    numbers = {"ratio": metric["ratio"], "low": low, "high": high, "candidate": metric["candidate"]}
    return {
        "metric": name,
        "verdict": metric["verdict"],
        **{key: None if value is None else float(value) for key, value in numbers.items()},
        "pairs": pack(metric["pairs"]),
    }


def _metric(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ratio": part["ratio"],
        "interval": [part["low"], part["high"]],
        "candidate": part["candidate"],
        "verdict": part["verdict"],
        "pairs": unpack(bytes(part["pairs"])),
    }
