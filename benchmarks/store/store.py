"""The store: add results, and find them again exactly as they were."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from edgevid.benchmarks.store import lines
from edgevid.benchmarks.store.engine import make_engine, name_of, reading, url_of, writing
from edgevid.benchmarks.store.migrate import prepare
from edgevid.benchmarks.store.record import COLUMNS, Rows, from_rows, to_rows, utc
from edgevid.benchmarks.store.schema import MEASUREMENTS, SERIES
from edgevid.errors import BenchmarkError
from edgevid.host.files import atomic_path
from edgevid.specs.registry import check_choice

PAGE = 32
"""Results in one query; no transaction stays open while a caller looks at them."""
BATCH = 100
"""Results in one transaction of an import."""


class Store:
    """Results in a database; ``open_store`` opens one. ``name`` is what messages call it.

    Processes and threads may share it. Every method raises ``BenchmarkError``, in one line, if the database
    cannot be used; then nothing has changed.
    """

    def __init__(self, where: str | Path, create: bool = True) -> None:
        url = url_of(where)
        self.name = name_of(url)
        self._engine = make_engine(url)
        prepare(self._engine, create)

    def add(self, result: dict[str, Any]) -> str:
        """Keep one result of ``edgevid bench --json``; returns its ``measurement_id``, a UUID.

        A result without one gets one that follows from its content. A result that is in the store already is
        not added again. It is on disk when this returns.
        """
        rows = to_rows(result)
        with writing(self._engine) as connection:
            self._add(connection, rows)
        return rows.measurement_id

    def results(self, samples: bool = True, **wanted: Any) -> Iterator[dict[str, Any]]:
        """The results whose columns have the ``wanted`` values, in the order in which they were added.

        ``results(model="tsm_mbv2", scenario=["offline", "server"])``: a list stands for any of its values.
        The columns are ``measurement_id`` and those of ``record.COLUMNS``, ``device`` being the label of the
        observed device; ``since`` and ``until`` are ISO dates, the latter excluded. Without ``samples`` each
        long series of numbers is None.
        """
        return self._pages(list(_conditions(wanted)), samples)

    def known(self, measurement_ids: Sequence[str]) -> set[str]:
        """Which of these the store has."""
        name, found = MEASUREMENTS.c.measurement_id, set[str]()
        for start in range(0, len(measurement_ids), BATCH):
            query = sa.select(name).where(name.in_(measurement_ids[start : start + BATCH]))
            with reading(self._engine) as connection:
                found |= set(connection.scalars(query))
        return found

    def export_lines(self, file: str | Path, **wanted: Any) -> int:
        """Write results as JSON lines, replacing ``file`` at the end; returns how many."""
        results = self.results(**wanted)
        with _accessing(file), atomic_path(Path(file)) as temporary, open(temporary, "xb") as out:
            return sum(out.write(lines.to_line(result)) > 0 for result in results)

    def import_lines(self, file: str | Path) -> int:
        """Add the results in a file of JSON lines; returns how many the store did not have yet.

        Raises ``BenchmarkError`` with the number of a line that is no result. Importing the repaired file
        again adds what is missing.
        """
        added = 0
        with _accessing(file):
            for batch in _batches(Path(file)):
                with writing(self._engine) as connection:
                    added += sum(self._add(connection, rows) for rows in batch)
        return added

    def _add(self, connection: sa.Connection, rows: Rows) -> bool:
        """Whether the result was new; ``BenchmarkError`` if the store has another one of this identity."""
        values = {"measurement_id": rows.measurement_id, **rows.columns, "record": rows.record}
        insert: Any = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        statement = (
            insert(MEASUREMENTS).values(values).on_conflict_do_nothing(index_elements=["measurement_id"])
        )
        if connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount:
            series = [
                {"measurement_id": rows.measurement_id, "place": place, "data": data}
                for place, data in rows.series.items()
            ]
            if series:
                connection.execute(SERIES.insert(), series)
            return True
        same = MEASUREMENTS.c.measurement_id == rows.measurement_id
        record = connection.scalar(sa.select(MEASUREMENTS.c.record).where(same)) or "{}"
        series_of = self._series(connection, [rows.measurement_id])
        # The content, since another zlib compresses to other bytes.
        if from_rows(record, series_of[rows.measurement_id]) != from_rows(rows.record, rows.series):
            raise BenchmarkError(
                f"the store '{self.name}' has another result with measurement_id {rows.measurement_id}: "
                "remove that key from this one to keep both"
            )
        return False

    def _pages(self, conditions: list[Any], samples: bool) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            query = (
                sa.select(MEASUREMENTS.c.id, MEASUREMENTS.c.measurement_id, MEASUREMENTS.c.record)
                .where(MEASUREMENTS.c.id > last, *conditions)
                .order_by(MEASUREMENTS.c.id)
                .limit(PAGE)
            )
            with reading(self._engine) as connection:
                page = connection.execute(query).all()
                names = [row.measurement_id for row in page]
                series = self._series(connection, names if samples else [])
            for row in page:
                yield from_rows(row.record, series[row.measurement_id])
            if len(page) < PAGE:
                return
            last = page[-1].id

    @staticmethod
    def _series(connection: sa.Connection, names: list[str]) -> dict[str, dict[str, bytes]]:
        """The series of some results: packed values by measurement and place."""
        found: dict[str, dict[str, bytes]] = defaultdict(dict)
        for name, place, data in connection.execute(
            sa.select(SERIES).where(SERIES.c.measurement_id.in_(names))
        ):
            found[name][place] = bytes(data)
        return found


def _batches(file: Path) -> Iterator[list[Rows]]:
    """The rows of a file's results; those before a line that is none come before its error."""
    batch: list[Rows] = []
    try:
        for number, result in lines.read(file):
            try:
                batch.append(to_rows(result))
            except BenchmarkError as error:
                raise BenchmarkError(f"line {number} of '{file}': {error}") from None
            if len(batch) == BATCH:
                yield batch
                batch = []
    except BenchmarkError:
        yield batch
        raise
    yield batch


def _conditions(wanted: dict[str, Any]) -> Iterator[sa.ColumnElement[bool]]:
    dates = MEASUREMENTS.c.date_utc
    for name, value in wanted.items():
        check_choice("column", name, ["measurement_id", *COLUMNS, "since", "until"])
        if name in ("since", "until"):
            date = utc(str(value))
            if date is None:
                raise BenchmarkError(f"{name}: '{value}' is not a date: use, for example, 2026-11-28")
            yield dates >= date if name == "since" else dates < date
        elif isinstance(value, (list, tuple)):
            yield MEASUREMENTS.c[name].in_(value)
        else:
            yield MEASUREMENTS.c[name] == value


@contextlib.contextmanager
def _accessing(file: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchmarkError(
            f"cannot read or write '{file}' ({error.strerror}): check the path and the free space"
        ) from error
