"""``edgevid bench --matrix`` and ``--store``: where results go, and what is refused."""

from __future__ import annotations

import json

import pytest
from one_bundle import write_bundle
from one_result import result

from edgevid.benchmarks.harness import harness
from edgevid.benchmarks.store import open_store
from edgevid.errors import BenchmarkError


@pytest.fixture
def measured(monkeypatch):
    """A fake ``harness.measure`` that numbers its results, and fails for the scenarios in ``failing``."""
    calls: list[str] = []
    failing: set[str] = set()

    def measure(bundle, scenario, duration_s, threads, progress, **options):
        calls.append(scenario)
        if scenario in failing:
            raise BenchmarkError("the bundle is cut short: export it again")
        known = result(len(calls), scenario=scenario)
        del known["measurement_id"]
        return known

    monkeypatch.setattr(harness, "measure", measure)
    measure.calls, measure.failing = calls, failing
    return measure


@pytest.fixture
def matrix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "net.cpu")
    (tmp_path / "matrix.toml").write_text('bundles = ["net.cpu"]\nscenarios = ["single-stream", "offline"]\n')
    return tmp_path / "matrix.toml"


def test_results_go_to_the_store_after_each_measurement(run_edgevid, measured, matrix, monkeypatch):
    monkeypatch.setenv("EDGEVID_STORE", "from_environment.db")
    for arguments in ((), ("--store", "named.db")):
        done = run_edgevid("bench", "net.cpu", "--json", "results.json", *arguments)
        assert done.status == 0, done.err
        saved = json.loads((matrix.parent / "results.json").read_text())["results"]
        store = open_store("named.db" if arguments else "from_environment.db", create=False)
        assert list(store.results()) == saved and len(saved) == 2


def test_a_store_that_cannot_be_used_is_refused_before_anything_is_measured(refuses, measured, matrix):
    refuses(["bench", "net.cpu", "--store", "none/results.db"], "none/results.db", "its folder exists")
    refuses(["bench", "--matrix", matrix, "--store", "mysql://me@here/x"], "cannot be a store")
    assert measured.calls == []


def test_a_matrix_is_measured_once_and_goes_on_where_it_stopped(run_edgevid, measured, matrix):
    measured.failing.add("offline")
    done = run_edgevid("bench", "--matrix", matrix, "--store", "results.db")
    assert done.status == 1
    assert "1/2 net.cpu single-stream ...\n2/2 net.cpu offline ...\n" in done.err
    assert "failed: net.cpu offline: the bundle is cut short" in done.err and "--retry-failed" in done.err
    assert "p50" in done.out

    assert run_edgevid("bench", "--matrix", matrix).status == 1
    assert len(measured.calls) == 2, "neither is measured again unless asked"
    measured.failing.clear()
    done = run_edgevid("bench", "--matrix", matrix, "--retry-failed", "--store", "results.db", "--json")
    assert measured.calls == ["single-stream", "offline", "offline"]
    found = list(open_store("results.db").results())
    assert json.loads(done.out)["results"] == found and len(found) == 2
    assert matrix.with_suffix(".journal.jsonl").exists()


def test_ctrl_c_says_how_to_continue(run_edgevid, measured, matrix, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(harness, "measure", interrupt)
    done = run_edgevid("bench", "--matrix", matrix)
    assert done.status == 130 and "run the same command again" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["net.cpu"], "a bundle or network cannot be combined with --matrix"),
        (["--scenario", "offline"], "--scenario cannot be combined"),
        (["--streams", "2"], "--streams cannot be combined"),
        (["--no-pin"], "--pin cannot be combined"),
    ],
)
def test_what_belongs_into_the_file_is_refused(refuses, measured, matrix, arguments, words):
    refuses(["bench", "--matrix", matrix, *arguments], words, "into the matrix's file")


def test_options_of_a_matrix_without_one_are_refused(refuses, measured, matrix):
    refuses(["bench", "net.cpu", "--retry-failed"], "use it with --matrix")
    refuses(["bench", "net.cpu", "--journal", "x"], "use it with --matrix")
    refuses(["bench", "net.cpu", "--scheduler", "x"], "use it with --matrix")


def test_a_scheduler_that_does_not_answer_is_refused(run_edgevid, measured, matrix, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("edgevid.benchmarks.fleet.cluster.CONNECT_S", 0.2)
    done = run_edgevid("bench", "--matrix", matrix, "--scheduler", "tcp://127.0.0.1:1")
    assert done.status == 2 and "the scheduler 'tcp://127.0.0.1:1' cannot be reached" in done.err
