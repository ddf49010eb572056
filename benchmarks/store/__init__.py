"""A store of results, samples included: a file of SQLite, or a database of PostgreSQL.

``open_store("results.db")`` or ``open_store("postgresql://USER@HOST/DATABASE")``. Many processes may use one
store at once. ``python -m edgevid.benchmarks.store`` copies results between stores and files of JSON lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevid.errors import BenchmarkError

if TYPE_CHECKING:
    from edgevid.benchmarks.store.store import Store


def open_store(where: str | Path, create: bool = True) -> Store:
    """The store at ``where``, a path or a URL, with its schema brought up to date.

    Without ``create`` the store must exist. Raises ``BenchmarkError`` if it cannot be used: no permission, no
    answer, a file of another program, or a schema newer than this edgevid's.
    """
    try:
        from edgevid.benchmarks.store.store import Store
    except ImportError as error:
        if error.name is None or error.name.startswith("edgevid"):  # a bug, not a missing package
            raise
        raise BenchmarkError(f"a store needs {error.name}: pip install 'edgevid[store]'") from error
    return Store(where, create)
