"""Create the tables of a store, and bring an older schema up to date, by however many processes at once."""

from __future__ import annotations

import time
from pathlib import Path

import sqlalchemy as sa

from edgevid.benchmarks.store.engine import WAIT_S, name_of, reading, writing
from edgevid.benchmarks.store.schema import SCHEMA, VERSION_TABLE
from edgevid.errors import BenchmarkError

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 734_927_516
"""The advisory lock of PostgreSQL under which a schema changes; any number of our own."""


def prepare(engine: sa.Engine, create: bool = True) -> None:
    """Bring the schema to ``SCHEMA``; ``BenchmarkError`` for a newer one, and for a file that is no store."""
    name, sqlite = name_of(engine.url), engine.dialect.name == "sqlite"
    if not create and sqlite and not Path(name).is_file():
        raise BenchmarkError(f"there is no store '{name}': check the path")
    with reading(engine) as connection:
        revision = _revision(connection)
        foreign = sqlite and revision is None and sa.inspect(connection).get_table_names()
    if foreign:
        raise BenchmarkError(f"'{name}' is a database of another program: choose another file for the store")
    if revision == SCHEMA:
        return
    if revision is None and not create:
        raise BenchmarkError(f"'{name}' is not a store of results: check its address")
    if revision is not None and revision > SCHEMA:
        raise BenchmarkError(
            f"the store '{name}' has schema {revision}, newer than {SCHEMA} of this edgevid: update edgevid"
        )
    if sqlite:
        _write_ahead(engine)
    _upgrade(engine)


def _revision(connection: sa.Connection) -> str | None:
    """The schema of the store; None if it has none yet."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))


def _write_ahead(engine: sa.Engine) -> None:
    """Let readers and a writer work at once; the file keeps this mode. Some file systems cannot."""
    limit = time.monotonic() + WAIT_S
    with reading(engine) as connection:
        driver = connection.connection.cursor()
        while True:
            try:
                driver.execute("PRAGMA journal_mode=WAL")
                return
            except engine.dialect.dbapi.OperationalError as error:  # type: ignore[union-attr]  # never None
                # SQLite does not wait for this lock by itself.
                if "locked" not in str(error) or time.monotonic() > limit:
                    raise sa.exc.OperationalError("PRAGMA journal_mode", None, error) from error
                time.sleep(0.01)


def _upgrade(engine: sa.Engine, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        # Alembic reads the revision in this transaction: whoever comes second finds nothing to do.
        config.attributes["connection"] = connection
        command.upgrade(config, to)
