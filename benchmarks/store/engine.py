"""Connections to SQLite and PostgreSQL, transactions that queue, and errors in one line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from edgevid.errors import BenchmarkError, first_line

WAIT_S = 30
"""How long a writer waits for others."""
CONNECT_S = 10
WRITES = "edgevid_writes"
SHOWN_OPTIONS = ("host", "port")
"""Of a URL's options; another could be a password."""

REMEDIES = {
    "full": "free space, or choose another --store",
    "readonly": "choose a file in a folder that you can write to",
    "read-only": "choose a file in a folder that you can write to",
    "unable to open": "check that its folder exists and that you may write to it",
    "not a database": "this file is not a store: choose another",
    "malformed": "the file is damaged: restore a copy, or choose another file",
    "locked": f"another process has been writing for {WAIT_S} s: try again",
    "disk i/o": "check the disk and its free space, or choose another --store",
    "permission denied": "ask its owner for the right to create and write tables",
}


def url_of(where: str | Path) -> URL:
    """A path, or a URL of SQLite or PostgreSQL; ``BenchmarkError`` for another."""
    text = os.fspath(where)
    if "://" not in text:
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(text)))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise BenchmarkError(
            "the store's URL cannot be read: pass a file, or postgresql://USER@HOST/DATABASE"
        ) from None
    database = url.drivername.partition("+")[0]
    if database in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if database == "sqlite" and url.database and not url.database.startswith((":memory:", "file:")):
        return url
    raise BenchmarkError(
        f"'{name_of(url)}' cannot be a store: pass a file, or postgresql://USER@HOST/DATABASE"
    )


def name_of(url: URL) -> str:
    """How messages call a store: the path of a file, a URL without what is secret."""
    if url.drivername.startswith("sqlite") and url.database:
        return url.database
    shown = {key: value for key, value in url.query.items() if key in SHOWN_OPTIONS}
    name = url.set(drivername=url.drivername.partition("+")[0], query=shown)
    return unquote(name.render_as_string(hide_password=True))


def make_engine(url: URL) -> sa.Engine:
    """An engine that connects anew for each transaction: it survives a fork and a server's restart."""
    if url.drivername.startswith("sqlite"):
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": WAIT_S})
        sa.event.listen(engine, "connect", _configure)
        sa.event.listen(engine, "begin", _begin)
        return engine
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_S, "tcp_user_timeout": 1000 * WAIT_S}
    arguments = {key: value for key, value in arguments.items() if key not in url.query}
    try:
        return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    except ModuleNotFoundError as error:
        raise BenchmarkError(
            f"a store on PostgreSQL needs {error.name}: pip install 'edgevid[postgres]'"
        ) from error


def _configure(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # or the driver begins transactions by itself
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")  # what was added survives a loss of power


def _begin(connection: sa.Connection) -> None:
    # A reader that becomes a writer fails at once if another one wrote meanwhile, however long it would wait:
    # writers say so first, and queue. Readers do not queue.
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    with explained(engine.url), engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction, which is on disk when the block has ended; if the block raises, nothing changes."""
    with explained(engine.url), engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextlib.contextmanager
def explained(url: URL) -> Iterator[None]:
    """Errors of the database as a ``BenchmarkError`` that says what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        reason = first_line(cause).rstrip(".:")
        default = (
            "check its address, and that it runs" if "sqlite" not in url.drivername else "check the file"
        )
        remedy = next((text for words, text in REMEDIES.items() if words in reason.lower()), default)
        raise BenchmarkError(f"the store '{name_of(url)}' cannot be used ({reason}): {remedy}") from error
