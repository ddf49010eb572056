"""What is added to a store comes back as it was, and what cannot be used is refused in one line."""

from __future__ import annotations

import json
import sqlite3

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from one_result import result

from edgevid.benchmarks.store import open_store
from edgevid.benchmarks.store import store as store_module
from edgevid.benchmarks.store.__main__ import main
from edgevid.benchmarks.store.engine import make_engine, url_of
from edgevid.benchmarks.store.migrate import MIGRATIONS
from edgevid.benchmarks.store.schema import METADATA, SCHEMA, VERSION_TABLE
from edgevid.errors import BenchmarkError, UnknownNameError


@pytest.fixture
def store(where):
    return open_store(where)


def test_results_come_back_as_they_were_in_the_order_of_their_addition(store):
    results = [result(number) for number in (3, 1, 2)]
    for one in results:
        assert store.add(one) == one["measurement_id"]
    assert list(store.results()) == results
    assert [json.dumps(one) for one in store.results()] == [json.dumps(one) for one in results]


def test_more_results_than_a_page_come_back_once_each(store, monkeypatch):
    monkeypatch.setattr(store_module, "PAGE", 2)
    expected = [store.add(result(number, samples=20)) for number in range(1, 6)]
    assert [one["measurement_id"] for one in store.results()] == expected


def test_a_result_is_added_once(store):
    for _ in range(2):
        store.add(result(1))
    assert list(store.results()) == [result(1)]


def test_a_result_without_identity_gets_one_that_follows_from_its_content(store):
    anonymous = {key: value for key, value in result(1).items() if key != "measurement_id"}
    name = store.add(anonymous)
    assert store.add(anonymous) == name != store.add({**anonymous, "threads": 1})
    assert list(store.results(measurement_id=name)) == [{**anonymous, "measurement_id": name}]


def test_another_result_of_the_same_identity_is_refused(store):
    store.add(result(1))
    with pytest.raises(BenchmarkError, match="has another result with measurement_id"):
        store.add({**result(2), "measurement_id": result(1)["measurement_id"]})
    assert list(store.results()) == [result(1)]


def test_results_are_found_by_their_columns(store):
    for number, scenario in enumerate(["offline", "server", "single-stream"], 1):
        store.add(result(number, scenario=scenario))

    def found(**wanted):
        return [one["scenario"] for one in store.results(**wanted)]

    assert found(scenario="server", model="tsm_mbv2", device="a simulated CPU", threads=2) == ["server"]
    assert found(scenario=["server", "offline"]) == ["offline", "server"]
    assert found(energy_mj_per_clip=None, edgevid_commit="0123abc", scenario="offline") == ["offline"]
    assert found(since="2026-11-03", until="2026-11-04T10:00:00Z") == ["server"]
    assert found(model="tsm_r50") == []


def test_a_column_that_does_not_exist_and_a_wrong_date_are_refused(store):
    with pytest.raises(UnknownNameError, match="unknown column 'modle': did you mean model"):
        list(store.results(modle="tsm_mbv2"))
    with pytest.raises(BenchmarkError, match="'yesterday' is not a date"):
        list(store.results(since="yesterday"))


def test_long_series_can_be_left_out(store):
    store.add(result(1))
    assert list(store.results(samples=False)) == [{**result(1), "samples_ms": None, "warmup_ms": None}]


def test_series_are_found_wherever_they_are(store):
    deep = result(
        1, streams=[{"samples_ms": [0.5] * 20}, {"samples_ms": [0.25] * 20}], short=[0.5], mixed=[1, 0.5] * 20
    )
    store.add(deep)
    assert list(store.results()) == [deep]


def test_letters_that_a_database_cannot_hold_come_back(store):
    odd = result(1, model="a\0b\ud800'; DROP TABLE edgevid_series; --")
    store.add(odd)
    assert list(store.results()) == [odd]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": None}, "names no model"),
        ({"measurement_id": "7"}, "is not a UUID"),
        ({"power_w": float("nan")}, "is not JSON"),
        ({"samples_ms": [float("inf")] * 20}, "not a finite number"),
    ],
)
def test_what_is_no_result_is_refused(store, changes, words):
    with pytest.raises(BenchmarkError, match=words):
        store.add(result(1, **changes))
    assert list(store.results()) == []


def test_results_go_to_json_lines_and_into_another_store(store, tmp_path, capsys):
    lines, copy = tmp_path / "results.jsonl", tmp_path / "copy.db"
    for number in (1, 2, 3):
        store.add(result(number))
    assert store.export_lines(lines) == 3
    assert [json.loads(line) for line in lines.read_text().splitlines()] == [result(n) for n in (1, 2, 3)]
    for count in (3, 0):
        main([str(copy), "--import", str(lines)])
        assert f"{count} new results" in capsys.readouterr().out
    assert list(open_store(copy).results()) == list(store.results())
    main([str(copy), "--export", str(lines)])
    assert lines.read_text().count("\n") == 3


def test_a_file_of_lines_is_added_up_to_a_damaged_one(store, tmp_path):
    lines = tmp_path / "results.jsonl"
    lines.write_text(json.dumps(result(1)) + "\n" + json.dumps(result(2))[:100])
    with pytest.raises(BenchmarkError, match=r"line 2 of .* is cut short"):
        store.import_lines(lines)
    lines.write_text(json.dumps(result(1)) + "\n{}\n")
    with pytest.raises(BenchmarkError, match=r"line 2 of .* not a result"):
        store.import_lines(lines)
    assert list(store.results()) == [result(1)]
    with pytest.raises(BenchmarkError, match="cannot read or write"):
        store.import_lines(tmp_path / "none.jsonl")


def test_the_migrations_lead_to_the_tables_of_the_code(where):
    open_store(where)
    with make_engine(url_of(where)).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
        assert context.get_current_revision() == SCHEMA
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == SCHEMA


def test_a_newer_schema_is_refused(where):
    open_store(where)
    engine = make_engine(url_of(where))
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(BenchmarkError, match=f"schema 9999, newer than {SCHEMA}.*update edgevid"):
        open_store(where)


def test_a_store_that_must_exist_is_not_created(where, tmp_path):
    with pytest.raises(BenchmarkError, match=r"there is no store|is not a store"):
        open_store(where, create=False)
    assert list(tmp_path.iterdir()) == []
    open_store(where)
    open_store(where, create=False)


def test_files_that_are_no_store_are_refused_and_unchanged(tmp_path):
    text, database, folder = tmp_path / "notes.txt", tmp_path / "other.db", tmp_path / "folder"
    text.write_text("my notes\n" * 1000)
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE mine (x)")
    folder.mkdir()
    before = text.read_bytes(), database.read_bytes()
    for path, words in ((text, "not a store"), (database, "of another program"), (folder, "unable to open")):
        with pytest.raises(BenchmarkError, match=words) as caught:
            open_store(path)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert before == (text.read_bytes(), database.read_bytes())


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(BenchmarkError, match="check its address") as caught:
        open_store("postgresql://me:secret@127.0.0.1:1/results?sslpassword=hidden")
    message = str(caught.value)
    assert "127.0.0.1:1/results" in message and "\n" not in message
    assert "secret" not in message and "hidden" not in message


@pytest.mark.parametrize("address", ["mysql://me@here/results", "sqlite://", "http://", "postgresql://a:b:c"])
def test_an_address_of_something_else_is_refused(address):
    with pytest.raises(BenchmarkError, match="pass a file, or postgresql://"):
        open_store(address)
