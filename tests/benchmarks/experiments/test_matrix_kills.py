"""The experiment itself, with fewer kills: on both databases nothing finished is lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys

import postgresql
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_twenty_kills_lose_and_double_nothing(tmp_path, database):
    module = "edgevid.benchmarks.experiments.matrix_kills"
    command = [sys.executable, "-m", module, "--kills", "20", "--cells", "6", "--within", "0.35"]
    if database == "sqlite":
        found = run(command, tmp_path)
    elif not postgresql.program("initdb"):
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    else:
        with postgresql.server() as server:
            found = run([*command, "--store", server.url_of("kills")], tmp_path)
    assert found["kills"] == 20
    assert found["finished"] == found["runs"] * 6
    assert found["running_when_killed"] <= 20


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
