"""What a reviewer sees of a verdict, and at which file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgevid.benchmarks.regress.outputs.findings import Source, findings, source_of


def test_a_regression_says_the_metric_the_effect_and_the_threshold(document):
    (finding,) = findings(document("regression", slower=1.1))
    assert finding.rule == "latency_p50_ms" and finding.is_error
    assert finding.message == (
        "latency_p50_ms: regression, 10 to 11 (+10.0%; 95% interval +9.0% to +11.0%; threshold 3.0%)"
    )


def test_a_level_that_rose_names_its_first_bad_commit(document):
    verdict = document("regression", slower=1.1)
    verdict["metrics"][0]["first_bad_commit"] = "0123456789abcdef"
    assert findings(verdict)[0].message.endswith("threshold 3.0%; since commit 0123456789)")


def test_inconclusive_is_one_finding_that_is_no_error_and_says_what_to_do(document):
    (finding,) = findings(document("inconclusive", pairs=0))
    assert not finding.is_error and "raise --budget" in finding.message


def test_a_pass_without_times_says_so(document):
    verdict = {**document("pass", pairs=0), "why": "times were not compared: pass --reference BUNDLE"}
    (finding,) = findings(verdict)
    assert not finding.is_error and finding.message.startswith("pass: times were not compared")


@pytest.mark.parametrize("verdict", ["pass", "improvement"])
def test_good_news_is_no_finding(document, verdict):
    assert findings(document(verdict)) == []


def test_the_fingerprint_is_of_the_model_and_the_metric_alone(document):
    small, large = (findings(document("regression", slower=slower))[0] for slower in (1.1, 1.2))
    assert small.fingerprint("a") == large.fingerprint("a") != small.fingerprint("b")


@pytest.fixture
def add(tmp_path: Path, monkeypatch):
    """``add(path, text)`` to a repository, in a folder of which the test is."""
    root = tmp_path / "répo"
    (root / "ci").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", root], check=True)
    monkeypatch.chdir(root / "ci")

    def to_repository(path: str, text: str) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        subprocess.run(["git", "add", "-A"], cwd=root, check=True)

    return to_repository


def test_a_network_of_ones_own_is_found_where_it_is_defined(add):
    add("nets/vidéo.py", "import torch\n\n\ndef my_network():\n    pass\n\ndef my_network_2(): pass\n")
    add("use.py", "from nets.video import my_network\nmy_network()\n")
    assert source_of("my_network", Path("b")) == Source("nets/vidéo.py", 4)
    assert source_of("my_network_2", Path("b")).line == 7


def test_a_network_that_is_defined_twice_or_never_is_its_bundle(add):
    for path in ("a.py", "b.py"):
        add(path, "class Net:\n    pass\n")
    for model in ("Net", "tsm_mbv2", "Net$(touch x)"):
        assert source_of(model, Path("bundle")) == Source("ci/bundle/manifest.json")
    assert source_of("Net", Path("/elsewhere")) == Source("/elsewhere/manifest.json")


def test_without_a_repository_it_is_the_bundle(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert source_of("Net", Path("b")) == Source("b/manifest.json")
