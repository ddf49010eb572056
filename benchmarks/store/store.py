"""The store: add records, and find them again exactly as they were."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from edgevid.benchmarks.store import lines
from edgevid.benchmarks.store.engine import make_engine, name_of, reading, url_of, writing
from edgevid.benchmarks.store.kinds import RESULT, VERDICT, Kind, kind_of
from edgevid.benchmarks.store.migrate import prepare
from edgevid.benchmarks.store.record import Rows
from edgevid.errors import BenchmarkError
from edgevid.host.files import atomic_path

PAGE = 32
"""Records in one query; no transaction stays open while a caller looks at them."""
BATCH = 100
"""Records in one transaction of an import."""


class Store:
    """Results and verdicts in a database; ``open_store`` opens one. ``name`` is what messages call it.

    Processes and threads may share it. Every method raises ``BenchmarkError``, in one line, if the database
    cannot be used; then nothing has changed.
    """

    def __init__(self, where: str | Path, create: bool = True) -> None:
        url = url_of(where)
        self.name = name_of(url)
        self._engine = make_engine(url)
        prepare(self._engine, create)

    def add(self, record: dict[str, Any]) -> str:
        """Keep one result of ``edgevid bench --json``, or a verdict; returns its identity, a UUID.

        A result without a ``measurement_id`` gets one that follows from its content. What is in the store
        already is not added again. It is on disk when this returns.
        """
        kind = kind_of(record)
        rows = kind.to_rows(record)
        with writing(self._engine) as connection:
            self._add(connection, kind, rows)
        return rows.identity

    def results(self, samples: bool = True, **wanted: Any) -> Iterator[dict[str, Any]]:
        """The results whose columns have the ``wanted`` values, in the order in which they were added.

        ``results(model="tsm_mbv2", scenario=["offline", "server"])``: a list stands for any of its values.
        The columns are ``measurement_id`` and those of ``record.COLUMNS``, ``device`` being the label of the
        observed device; ``since`` and ``until`` are ISO dates, the latter excluded. Without ``samples`` each
        long series of numbers is None.
        """
        return self._pages(RESULT, list(RESULT.conditions(wanted)), samples)

    def verdicts(self, **wanted: Any) -> Iterator[dict[str, Any]]:
        """The verdicts of ``edgevid regress``, by columns of ``verdict.COLUMNS``, as ``results`` does."""
        return self._pages(VERDICT, list(VERDICT.conditions(wanted)))

    def known(self, measurement_ids: Sequence[str]) -> set[str]:
        """Which of these the store has."""
        name, found = RESULT.identity, set[str]()
        for start in range(0, len(measurement_ids), BATCH):
            query = sa.select(name).where(name.in_(measurement_ids[start : start + BATCH]))
            with reading(self._engine) as connection:
                found |= set(connection.scalars(query))
        return found

    def export_lines(self, file: str | Path, **wanted: Any) -> int:
        """Write results, and all verdicts unless some results are ``wanted``, as JSON lines; how many.

        They replace ``file`` at the end.
        """
        records = chain(self.results(**wanted), () if wanted else self.verdicts())
        with _accessing(file), atomic_path(Path(file)) as temporary, open(temporary, "xb") as out:
            return sum(out.write(lines.to_line(record)) > 0 for record in records)

    def import_lines(self, file: str | Path) -> int:
        """Add the records in a file of JSON lines; returns how many the store did not have yet.

        Raises ``BenchmarkError`` with the number of a line that is none. Importing the repaired file
        again adds what is missing.
        """
        added = 0
        with _accessing(file):
            for batch in _batches(Path(file)):
                with writing(self._engine) as connection:
                    added += sum(self._add(connection, kind, rows) for kind, rows in batch)
        return added

    def _add(self, connection: sa.Connection, kind: Kind, rows: Rows) -> bool:
        """Whether the record was new; ``BenchmarkError`` if the store has another one of this identity."""
        values = {kind.key: rows.identity, **rows.columns, "record": rows.record}
        insert: Any = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        statement = insert(kind.table).values(values).on_conflict_do_nothing(index_elements=[kind.key])
        if connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount:
            if rows.parts:
                parts = [{kind.key: rows.identity, **part} for part in rows.parts]
                connection.execute(kind.parts.insert(), parts)
            return True
        same = sa.select(kind.table.c.record).where(kind.identity == rows.identity)
        known = connection.scalar(same) or "{}"
        parts_of = self._parts(connection, kind, [rows.identity])
        # The content, since another zlib compresses to other bytes.
        if kind.from_rows(known, parts_of[rows.identity]) != kind.from_rows(rows.record, rows.parts):
            raise BenchmarkError(
                f"the store '{self.name}' has another {kind.name} with {kind.key} {rows.identity}: "
                "remove that key from this one to keep both"
            )
        return False

    def _pages(self, kind: Kind, conditions: list[Any], parts: bool = True) -> Iterator[dict[str, Any]]:
        last = 0
        while True:
            query = (
                sa.select(kind.table.c.id, kind.identity, kind.table.c.record)
                .where(kind.table.c.id > last, *conditions)
                .order_by(kind.table.c.id)
                .limit(PAGE)
            )
            with reading(self._engine) as connection:
                page = connection.execute(query).all()
                parts_of = self._parts(connection, kind, [row[1] for row in page] if parts else [])
            for _, identity, record in page:
                yield kind.from_rows(record, parts_of[identity])
            if len(page) < PAGE:
                return
            last = page[-1].id

    @staticmethod
    def _parts(
        connection: sa.Connection, kind: Kind, identities: list[str]
    ) -> dict[str, list[Mapping[str, Any]]]:
        """The rows in the second table of some records, by identity."""
        found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        query = sa.select(kind.parts).where(kind.parts.c[kind.key].in_(identities))
        for row in connection.execute(query):
            part = row._asdict()
            found[part[kind.key]].append(part)
        return found


def _batches(file: Path) -> Iterator[list[tuple[Kind, Rows]]]:
    """The rows of a file's records; those before a line that is none come before its error."""
    batch: list[tuple[Kind, Rows]] = []
    try:
        for number, record in lines.read(file):
            kind = kind_of(record)
            try:
                batch.append((kind, kind.to_rows(record)))
            except BenchmarkError as error:
                raise BenchmarkError(f"line {number} of '{file}': {error}") from None
            if len(batch) == BATCH:
                yield batch
                batch = []
    except BenchmarkError:
        yield batch
        raise
    yield batch


@contextlib.contextmanager
def _accessing(file: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchmarkError(
            f"cannot read or write '{file}' ({error.strerror}): check the path and the free space"
        ) from error
