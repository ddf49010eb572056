"""What a store keeps: results of ``edgevid bench``, and verdicts of ``edgevid regress``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from edgevid.benchmarks.store import record, verdict
from edgevid.benchmarks.store.record import Columns, Rows, utc
from edgevid.benchmarks.store.schema import MEASUREMENTS, RATIOS, SERIES, VERDICTS
from edgevid.errors import BenchmarkError
from edgevid.specs.registry import check_choice


@dataclass(frozen=True)
class Kind:
    """A record is a row of ``table``, which its ``key`` identifies, and rows of ``parts``."""

    name: str
    key: str
    table: sa.Table
    parts: sa.Table
    columns: Columns
    to_rows: Callable[[dict[str, Any]], Rows]
    from_rows: Callable[[str, Sequence[Mapping[str, Any]]], dict[str, Any]]

    @property
    def identity(self) -> sa.Column[str]:
        return self.table.c[self.key]

    def conditions(self, wanted: dict[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
        """``wanted`` values by column; a list stands for any of its values."""
        for name, value in wanted.items():
            check_choice("column", name, [self.key, *self.columns, "since", "until"])
            if name in ("since", "until"):
                date = utc(str(value))
                if date is None:
                    raise BenchmarkError(f"{name}: '{value}' is not a date: use, for example, 2026-11-28")
                dates = self.table.c.date_utc
                yield dates >= date if name == "since" else dates < date
            elif isinstance(value, (list, tuple)):
                yield self.table.c[name].in_(value)
            else:
                yield self.table.c[name] == value


RESULT = Kind(
    "result", "measurement_id", MEASUREMENTS, SERIES, record.COLUMNS, record.to_rows, record.from_rows
)
VERDICT = Kind("verdict", "verdict_id", VERDICTS, RATIOS, verdict.COLUMNS, verdict.to_rows, verdict.from_rows)


def kind_of(value: Any) -> Kind:
    return VERDICT if isinstance(value, dict) and VERDICT.key in value else RESULT
