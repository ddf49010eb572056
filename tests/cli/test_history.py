"""``edgevid history``, and ``edgevid regress --store``, whose verdicts it lists."""

from __future__ import annotations

import json
import subprocess

import pytest
from one_bundle import write_bundle
from one_result import verdict

from edgevid.benchmarks.regress import gate
from edgevid.benchmarks.store import open_store
from edgevid.cli import main

BUNDLE = {"bundle": "b", "bundle_sha256": "a" * 64, "model": "tsm_mbv2"}


@pytest.fixture
def store(tmp_path):
    """A store of 14 verdicts; the last five are of commits that are 6 % slower."""
    store = open_store(tmp_path / "results.db")
    for number in range(1, 15):
        store.add(verdict(number, ratio=1.06 if number > 9 else 1.0))
    return store


@pytest.fixture
def edgevid(capsys, monkeypatch, tmp_path):
    """``edgevid(arguments)`` -> exit status, stdout, stderr; in a folder of its own."""
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EDGEVID_STORE", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str):
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def regress(edgevid, monkeypatch, tmp_path):
    """``regress(ratio, arguments)``: a comparison of two bundles that ends with this ratio."""
    bundles = [str(write_bundle(tmp_path / name).path) for name in ("old", "new")]

    def run(ratio: float, *arguments: str):
        record = verdict(99, ratio)
        latency = {**record["metrics"]["latency_p50_ms"], "name": "latency_p50_ms", "baseline": 20.0}
        latency |= {"interval": [0.9, 1.1], "smallest_effect": 0.02}
        document = {
            "verdict": "pass", "threshold": 0.03, "pairs": 16, "discarded_pairs": 0, "seconds": 30.0,
            "why": "", "threads": 2, "metrics": [latency], "baseline": BUNDLE, "candidate": BUNDLE,
            "environment": {**record["environment"], "date_utc": "2026-12-01T00:00:00+00:00"},
        }  # fmt: skip
        monkeypatch.setattr(gate, "compare", lambda *_: document)
        return edgevid("regress", "--baseline", bundles[0], "--candidate", bundles[1], *arguments)

    return run


def test_each_series_is_listed_with_its_changes(edgevid, store):
    code, out, err = edgevid("history", "--store", store.name)
    assert (code, err) == (0, "")
    assert "latency_p50_ms" in out and "regression" in out
    assert "latency_p50_ms: +6.1% since commit 010ccccccc" in out


def test_json_is_alone_on_standard_output_or_in_a_file(edgevid, store, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVID_STORE", store.name)
    _, out, _ = edgevid("history", "--json")
    assert len(json.loads(out)["series"]) == 2
    _, table, _ = edgevid("history", "--html", "history.html", "--json", "history.json")
    assert "latency_p50_ms" in (tmp_path / "history.html").read_text()
    assert json.loads((tmp_path / "history.json").read_text()) == json.loads(out)
    assert "latency_p50_ms" in table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "pass --store"),
        (["--store", "none.db"], "there is no store"),
        (["--store", "results.db", "--json", "/none/x.json"], "cannot write"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_line(edgevid, store, arguments, says):
    code, out, err = edgevid("history", *arguments)
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1


def test_a_store_without_verdicts_says_where_they_come_from(edgevid):
    open_store("empty.db")
    code, _, err = edgevid("history", "--store", "empty.db")
    assert code == 2 and "edgevid regress --store" in err


def test_a_verdict_goes_to_the_store_with_the_commit_of_the_current_folder(regress, tmp_path):
    git = ("git", "-C", str(tmp_path), "-c", "user.name=me", "-c", "user.email=me@example.com")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    assert regress(1.0, "--store", "new.db")[0] == 0
    assert regress(1.0, "--store", "new.db", "--commit", "0123abc")[0] == 0
    found = list(open_store(tmp_path / "new.db").verdicts())
    assert [one["candidate_commit"] for one in found] == [head.strip(), "0123abc"]
    assert found[0]["metrics"]["latency_p50_ms"]["interval"] == [0.9, 1.1]


def test_a_level_that_has_risen_is_a_regression_though_this_commit_is_not(regress, store):
    code, out, _ = regress(1.06, "--store", store.name)
    assert code == 1 and "latency_p50_ms against history" in out
    assert "latency_p50_ms has risen by 6.1% since commit 010ccccccc" in out


def test_a_store_that_goes_away_leaves_the_verdict_as_it_is(regress, store, monkeypatch, tmp_path):
    def away(engine):
        raise gate.BenchmarkError("the store cannot be used (no answer): check its address")

    monkeypatch.setattr("edgevid.benchmarks.store.store.writing", away)
    monkeypatch.setattr("edgevid.benchmarks.store.store.reading", away)
    code, out, err = regress(1.0, "--store", store.name)
    assert code == 0 and "pass: 16 pairs" in out
    assert "--import" in err and "not compared with its history" in err
    assert (tmp_path / "edgevid-unsaved.jsonl").read_text().count("\n") == 1


def test_a_store_that_cannot_be_opened_is_refused_before_anything_is_measured(regress):
    code, out, err = regress(1.0, "--store", "/none/results.db")
    assert (code, out) == (3, "") and "check that its folder exists" in err


def test_a_baseline_file_is_accepted_with_a_reason_that_the_store_has_too(edgevid, regress, tmp_path):
    accept = ("--baseline", "tiny.json", "--candidate", "new", "--update-baseline")
    assert edgevid("regress", *accept, " ")[0] == 3
    code, out, err = edgevid("regress", *accept, "the new head", "--store", "new.db")
    assert (code, out) == (0, "") and "'new' is the reference of 'tiny.json': the new head" in err
    (record,) = open_store("new.db").verdicts(verdict="accepted")
    assert record["why"] == "the new head" and record["metrics"] == {}
    assert regress(1.0, "--baseline", "tiny.json")[0] == 0  # measured in pairs, since the reference is there


def test_a_baseline_file_whose_reference_is_gone_compares_what_needs_no_run(edgevid, regress, tmp_path):
    edgevid("regress", "--baseline", "tiny.json", "--candidate", "new", "--update-baseline", "first")
    (tmp_path / "new").rename(tmp_path / "moved")
    code, out, _ = edgevid("regress", "--baseline", "tiny.json", "--candidate", "old")
    assert code == 0 and "bundle_size_mib" in out and "pass --reference BUNDLE" in out
    there = ["--baseline", "tiny.json", "--candidate", "old", "--reference", "moved"]
    assert regress(1.0, *there)[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--baseline", "old", "--candidate", "new", "--update-baseline", "why"],
        ["--baseline", "old", "--candidate", "new", "--reference", "old"],
        ["--baseline", "none.json", "--candidate", "new"],
    ],
)
def test_options_that_do_not_go_together_are_refused(edgevid, regress, arguments):
    code, out, err = edgevid("regress", *arguments)
    assert (code, out) == (3, "") and err.count("\n") == 1
