"""Both databases: each test of a store runs on a new file of SQLite, and on a new database of PostgreSQL."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import postgresql
import pytest

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server():
    if not postgresql.program("initdb"):
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    with postgresql.server() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def where(request, tmp_path: Path) -> str:
    """The address of a store that does not exist yet."""
    if request.param == "sqlite":
        return str(tmp_path / "results.db")
    return request.getfixturevalue("server").url_of(f"store{next(NUMBERS)}")


@pytest.fixture
def script(tmp_path: Path):
    """``script(code, *arguments)`` runs Python in a process of its own, which may fork; gives its output."""

    def run(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
        path = f"import sys; sys.path.insert(0, {str(Path(postgresql.__file__).parent)!r})\n"
        command = [*prefix, sys.executable, "-c", path + code, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
