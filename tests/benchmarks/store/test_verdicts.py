"""Verdicts of the gate are kept beside results, and go the same ways."""

from __future__ import annotations

import json

import pytest
from one_result import result, verdict

from edgevid.benchmarks.store import lines, open_store
from edgevid.benchmarks.store.engine import make_engine, url_of
from edgevid.benchmarks.store.migrate import _upgrade
from edgevid.benchmarks.store.recorder import Recorder
from edgevid.errors import BenchmarkError


def test_verdicts_come_back_as_they_were_and_are_found_by_their_columns(where):
    store = open_store(where)
    for number in (2, 1):
        store.add(verdict(number))
    store.add(verdict(3, model="tsm_r50", threads=1))
    store.add(result(1))
    assert list(store.verdicts()) == [verdict(2), verdict(1), verdict(3, model="tsm_r50", threads=1)]
    assert list(store.verdicts(reference_sha256="a" * 64, device="a simulated CPU", threads=2)) == [
        verdict(2), verdict(1)
    ]  # fmt: skip
    assert list(store.results()) == [result(1)]


def test_a_verdict_is_added_once_and_another_of_its_identity_is_refused(where):
    store = open_store(where)
    for _ in range(2):
        store.add(verdict(1))
    with pytest.raises(BenchmarkError, match="has another verdict with verdict_id"):
        store.add(verdict(1, ratio=1.5))
    assert list(store.verdicts()) == [verdict(1)]


@pytest.mark.parametrize(
    "changes", [{"metrics": None}, {"metrics": {"latency_p50_ms": {}}}, {"model": None}, {"verdict_id": "7"}]
)
def test_what_is_no_verdict_is_refused(tmp_path, changes):
    store = open_store(tmp_path / "results.db")
    with pytest.raises(BenchmarkError, match=r"not a verdict|not a UUID"):
        store.add(verdict(1, **changes))
    assert list(store.verdicts()) == []


def test_verdicts_and_results_go_to_one_file_of_lines_and_back(tmp_path):
    store, copy = (open_store(tmp_path / name) for name in ("a.db", "b.db"))
    store.add(verdict(1))
    store.add(result(1))
    assert store.export_lines(tmp_path / "lines") == copy.import_lines(tmp_path / "lines") == 2
    assert list(copy.verdicts()) == [verdict(1)] and list(copy.results()) == [result(1)]
    assert json.loads((tmp_path / "lines").read_text().splitlines()[1]) == verdict(1)


def test_a_store_of_results_alone_gets_the_tables_of_verdicts(where):
    engine = make_engine(url_of(where))
    _upgrade(engine, "0001")
    store = open_store(where)
    store.add(result(1))
    store.add(verdict(1))
    assert [list(store.results()), list(store.verdicts())] == [[result(1)], [verdict(1)]]


def test_a_verdict_that_the_store_cannot_take_goes_to_the_unsaved_file(tmp_path, monkeypatch):
    said: list[str] = []
    recorder = Recorder(str(tmp_path / "results.db"), said.append, tmp_path / "unsaved.jsonl")
    monkeypatch.setattr("edgevid.benchmarks.store.store.writing", _away)
    recorder.add(verdict(1))
    assert [record for _, record in lines.read(tmp_path / "unsaved.jsonl")] == [verdict(1)]
    assert len(said) == 1 and "--import" in said[0]


def _away(engine):
    raise BenchmarkError("the store cannot be used (no answer): check its address")
