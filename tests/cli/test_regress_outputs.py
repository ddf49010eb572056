"""Where the verdict goes; and that it is neither lost nor another one where it cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import gate

SIZE = {
    "name": "bundle_size_mib", "baseline": 1.0, "candidate": 1.2, "ratio": 1.2, "interval": [1.2, 1.2],
    "smallest_effect": 0.0,
}  # fmt: skip


def document(verdict: str) -> dict:
    return {
        "verdict": verdict, "threshold": 0.03, "pairs": 16, "discarded_pairs": 1, "seconds": 31.0,
        "why": "raise --budget" if verdict == "inconclusive" else "",
        "metrics": [{**SIZE, "verdict": verdict}], "environment": None,
        "baseline": {"bundle": "old", "model": "tiny"}, "candidate": {"bundle": "new", "model": "tiny"},
    }  # fmt: skip


@pytest.fixture
def bundles(monkeypatch, tmp_path):
    """Two bundles as arguments, in a current folder of their own."""
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        write_bundle(tmp_path / name)
    return ["--baseline", "old", "--candidate", "new"]


@pytest.fixture
def regress(bundles, monkeypatch, run_edgevid):
    """``regress("pass", ...)`` -> exit status, stdout and stderr of a comparison that ends so."""

    def run(verdict: str, *arguments: str, compare=None):
        monkeypatch.setattr(gate, "compare", compare or (lambda *_: document(verdict)))
        return run_edgevid("regress", *bundles, *arguments)

    return run


def test_reports_are_written_beside_the_table(regress):
    result = regress(
        "regression", "--report", "junit:j.xml", "--report", "sarif:s.json", "--report", "markdown:m.md",
        "--report", "gitlab:g.json", "--file", "nets/a.py",
    )  # fmt: skip
    assert result.status == 1 and "regression: 16 pairs" in result.out
    assert ElementTree.parse("j.xml").getroot().get("failures") == "1"
    assert "nets/a.py" in Path("s.json").read_text() and "nets/a.py" in Path("g.json").read_text()
    assert "bundle\\_size\\_mib" in Path("m.md").read_text()


@pytest.mark.parametrize("report", ["github", "github:-"])
def test_a_report_without_a_file_is_alone_on_standard_output(regress, report):
    result = regress("regression", "--report", report)
    assert result.out.startswith("::error file=new/manifest.json,line=1,")
    assert len(result.out.splitlines()) == 1


def test_inconclusive_can_be_allowed_and_a_regression_cannot(regress):
    assert regress("inconclusive").status == 2
    assert regress("inconclusive", "--allow-inconclusive").status == 0
    assert regress("regression", "--allow-inconclusive").status == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--report", "html:a"], "markdown, junit, sarif, github, gitlab"),
        (["--report", "junit:none/j.xml"], "cannot write 'none/j.xml'"),
        (["--report", "junit:old"], "'old' is not a file that can be replaced"),
        (["--report", "junit", "--report", "sarif"], "give the others a FILE"),
        (["--report", "junit", "--json", "-"], "give the others a FILE"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_measured(regress, monkeypatch, arguments, says):
    result = regress("pass", *arguments)
    assert (result.status, result.out) == (3, "")
    (line,) = result.err.splitlines()
    assert line.startswith("edgevid: ") and says in line


@pytest.mark.parametrize("error", [OSError(28, "No space left", "x"), KeyError("a bug")])
def test_a_failure_is_no_verdict(bundles, monkeypatch, run_edgevid, error):
    """Python's own exit status of an error is 1, which here is a regression."""

    def fail(*_):
        raise error

    monkeypatch.setattr(gate, "compare", fail)
    result = run_edgevid("regress", *bundles)
    assert (result.status, result.out) == (3, "")
    assert ("No space left 'x': free space" in result.err) == isinstance(error, OSError)
    assert ("Traceback" in result.err) == isinstance(error, KeyError)


DISK = """
import json, resource, signal, sys
from edgevid.benchmarks.regress import gate
from edgevid.cli import console
verdict, limit = json.loads(sys.argv[1]), int(sys.argv[2])
def compare(*_):
    # Simulated: the kernel refuses to grow a file beyond the limit, as a full disk would.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return verdict
gate.compare = compare
sys.argv[1:] = sys.argv[3:]
console()
"""
PLENTY = 1_000_000


@pytest.fixture
def on_disk(bundles):
    """``on_disk(limit, ...)``: a regression where no file can grow beyond ``limit`` bytes meanwhile."""

    def run(limit: int, *arguments: str, **streams) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", DISK, json.dumps(document("regression")), str(limit), "regress"]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.run([*command, *bundles, *arguments], text=True, **streams)

    return run


def test_a_full_disk_loses_neither_the_verdict_nor_the_samples(on_disk):
    Path("j.xml").write_text("the old report")
    result = on_disk(50, "--report", "junit:j.xml", "--json", "v.json", "--report", "github:g")
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert "the verdict is regression" in line and "free space" in line
    assert all(f"'{name}' (File too large)" in line for name in ("j.xml", "v.json", "g"))
    table, _, samples = result.stdout.partition("\n{\n")
    assert "regression: 16 pairs" in table and json.loads("{" + samples) == document("regression")
    assert Path("j.xml").read_text() == "the old report"
    assert {path.name for path in Path().iterdir()} == {"cache", "new", "old", "j.xml"}


def test_a_full_standard_output_is_no_verdict_and_the_files_are_written(on_disk):
    with open("/dev/full", "w") as full:
        result = on_disk(PLENTY, "--report", "junit:j.xml", stdout=full)
    assert result.returncode == 3 and "standard output (No space left on device)" in result.stderr
    assert ElementTree.parse("j.xml").getroot().get("failures") == "1"


def test_a_reader_that_went_away_does_not_change_the_verdict(on_disk):
    reader, writer = os.pipe()
    os.close(reader)
    result = on_disk(PLENTY, stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


MEASURED = {
    "environment": {"device": "a simulated CPU"},
    "baseline": {"bundle": "old", "bundle_sha256": "a" * 64, "model": "tiny"},
    "candidate": {"bundle": "new", "bundle_sha256": "b" * 64, "model": "tiny"},
}


@pytest.mark.parametrize(("verdict", "status"), [("regression", 1), ("pass", 0), ("inconclusive", 2)])
def test_a_store_that_goes_away_changes_no_verdict_and_loses_none(regress, verdict, status):
    def compare(*_):
        Path("verdicts.db").unlink()
        Path("verdicts.db").mkdir()
        return document(verdict) | MEASURED

    result = regress(verdict, "--store", "verdicts.db", "--report", "junit:j.xml", compare=compare)
    assert result.status == status and f"{verdict}: 16 pairs" in result.out
    assert "edgevid-unsaved.jsonl" in result.err and "Traceback" not in result.err
    (line,) = Path("edgevid-unsaved.jsonl").read_text().splitlines()
    assert json.loads(line)["verdict"] == verdict
    assert Path("j.xml").is_file()
