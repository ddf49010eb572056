"""Two gates on one machine: the second waits, and decides nothing while it cannot measure alone."""

from __future__ import annotations

import fcntl
import json
import threading

import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import gate
from edgevid.cli import regress as command


@pytest.fixture
def second(monkeypatch, tmp_path, run_edgevid):
    """``second("0.05s", ...)``: a gate with that budget, on a machine where ``first`` holds the lock."""
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path))
    monkeypatch.setattr(command, "POLL_S", 0.01)
    for name in ("old", "new"):
        write_bundle(tmp_path / name)

    def run(budget: str, *arguments: str):
        bundles = ("--baseline", tmp_path / "old", "--candidate", tmp_path / "new")
        return run_edgevid("regress", *bundles, "--budget", budget, *arguments)

    return run


@pytest.fixture
def first(tmp_path):
    """The lock, held as by another gate."""
    with (tmp_path / "regress.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_the_second_gives_up_inconclusive_and_says_what_to_do(second, first, monkeypatch):
    monkeypatch.setattr(gate, "compare", None)
    result = second("0.05s", "--json", "-")
    verdict = json.loads(result.out)
    assert result.status == 2 and verdict["verdict"] == "inconclusive" and verdict["pairs"] == 0
    assert "another 'edgevid regress' used this machine" in verdict["why"]
    assert "raise --budget" in verdict["why"]
    assert {"threshold", "discarded_pairs", "seconds", "metrics"} <= set(verdict)
    assert "waiting for another 'edgevid regress' here, at most 0.05 s" in result.err


def test_the_second_measures_when_the_first_has_ended(second, first, monkeypatch):
    measured = []

    def compare(*_):
        measured.append(True)
        return {"verdict": "pass"}

    monkeypatch.setattr(gate, "compare", compare)
    threading.Timer(0.1, fcntl.flock, (first, fcntl.LOCK_UN)).start()
    result = second("30s", "--json", "-")
    assert result.status == 0 and measured == [True]
    assert result.err.count("waiting") == 1


def test_a_larger_bundle_is_a_regression_without_a_measurement(second, first, tmp_path):
    bundle = write_bundle(tmp_path / "new")
    with (tmp_path / "new" / next(iter(bundle.manifest.files))).open("ab") as file:
        file.write(bytes(5000))
    result = second("0.02s")
    assert result.status == 1 and "bundle_size_mib" in result.out
