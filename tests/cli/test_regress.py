"""``edgevid regress``: its exit status is the answer, and wrong use is not taken for one."""

from __future__ import annotations

import json

import pytest
from one_bundle import write_bundle

from edgevid.benchmarks.regress import gate, pairs
from edgevid.cli import main

VERDICT = {
    "verdict": "pass", "threshold": 0.03, "pairs": 16, "discarded_pairs": 1, "seconds": 31.0, "why": "",
    "metrics": [
        {"name": "latency_p50_ms", "baseline": 10.0, "candidate": 10.1, "ratio": 1.01,
         "interval": [0.99, 1.02], "verdict": "pass", "smallest_effect": 0.021},
    ],
}  # fmt: skip


@pytest.fixture
def regress(capsys, monkeypatch, tmp_path):
    """``regress("pass", ...)`` -> exit status, stdout, stderr, with a comparison that ends so."""
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    bundles = [str(write_bundle(tmp_path / name).path) for name in ("old", "new")]
    calls = []

    def run(verdict: str, *arguments: str):
        def compare(baseline, candidate, options, show, energy):
            calls.append((baseline, candidate, options))
            show(pairs.Progress(10, 0, 5.0, 1.01))
            return {**VERDICT, "verdict": verdict}

        monkeypatch.setattr(gate, "compare", compare)
        with pytest.raises(SystemExit) as end:
            main(["regress", "--baseline", bundles[0], "--candidate", bundles[1], *arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    run.calls = calls
    return run


@pytest.mark.parametrize(
    ("verdict", "status"), [("pass", 0), ("improvement", 0), ("regression", 1), ("inconclusive", 2)]
)
def test_the_exit_status_is_the_verdict(regress, verdict, status):
    code, out, err = regress(verdict)
    assert code == status and f"{verdict}: 16 pairs" in out
    assert "10 pairs, 0 discarded, latency x1.010: 5/120 s" in err


@pytest.mark.parametrize("how", [["--json"], ["--json", "-"]])
def test_json_is_alone_on_standard_output(regress, how):
    code, out, _ = regress("pass", *how)
    assert code == 0 and json.loads(out)["pairs"] == 16


def test_json_is_written_to_a_file_beside_the_table(regress, tmp_path):
    _, out, _ = regress("regression", "--json", str(tmp_path / "v.json"))
    assert json.loads((tmp_path / "v.json").read_text())["verdict"] == "regression"
    assert "latency_p50_ms" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threshold", "5%", "--budget", "2m"], (0.05, 120)),
        (["--threshold", "0.01", "--budget", "90"], (0.01, 90)),
        (["--threshold", "0.5%", "--budget", "1.5h"], (0.005, 5400)),
    ],
)
def test_shares_and_times_are_read(regress, arguments, expected):
    regress("pass", *arguments)
    options = regress.calls[0][2]
    assert (options.threshold, options.budget_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threshold", "many"], "--threshold 3%"),
        (["--threshold", "0%"], "--threshold 3%"),
        (["--budget", "soon"], "--budget 120s"),
        (["--budget", "-5s"], "--budget 120s"),
        (["--budget", "500ms"], "--budget 120s"),
        (["--threads", "0"], "--threads"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_use_is_status_three_and_one_line(regress, arguments, says):
    code, out, err = regress("pass", *arguments)
    assert (code, out) == (3, "") and says in err
    assert len(err.strip().splitlines()) == 1


def test_a_missing_bundle_is_status_three(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["regress", "--baseline", str(tmp_path / "none"), "--candidate", str(tmp_path / "none")])
    assert end.value.code == 3 and "none" in capsys.readouterr().err
