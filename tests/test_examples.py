"""``examples/regress_in_ci`` in a git repository: a slow commit is caught, the one that mends it passes."""

from __future__ import annotations

import functools
import gc
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import edgevid
from edgevid.benchmarks.harness import warmup, worker
from edgevid.benchmarks.harness.protocol import Request
from edgevid.benchmarks.regress import gate, pairs
from edgevid.host import environment

EXAMPLE = Path(__file__).parent.parent / "examples" / "regress_in_ci"
FAST = (EXAMPLE / "network.py").read_text()
SLOW = FAST.replace("STRIDE = 4", "STRIDE = 1")


class Repository:
    """The example's files in a repository of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("__pycache__"))
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout

    def commit(self, network: str) -> None:
        (self.root / "network.py").write_text(network)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change the network")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


@pytest.fixture
def export_head(repository, run_edgevid, monkeypatch):
    """``export_head("name")``: a bundle of the network as it is now, by the options of ``export.sh``."""
    pytest.importorskip("torch")
    monkeypatch.chdir(repository.root)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two commits in a second have the same time stamp
    monkeypatch.syspath_prepend(repository.root)
    (line,) = (line for line in (EXAMPLE / "export.sh").read_text().splitlines() if line.startswith("exec "))
    options = line.split()[3:]

    def export(name: str) -> str:
        sys.modules.pop("network", None)
        result = run_edgevid(
            "export", *(f"../{name}" if option == '"$output"' else option for option in options)
        )
        assert result.status == 0, result.err
        return f"../{name}"

    yield export
    sys.modules.pop("network", None)


@pytest.fixture
def regress(run_edgevid, monkeypatch):
    """``regress(before, after, ...)``: the gate on real measurements, each of 0.1 s and in this process.

    A process for each would take most of a minute. Whether others used the cores is simulated.
    """
    monkeypatch.setattr(warmup, "WINDOW_NS", 20_000_000)
    monkeypatch.setattr(warmup, "AGREEMENT", 10.0)
    monkeypatch.setattr(environment, "BUSY_WINDOW_S", 0.01)

    def measure(paths, duration_s, threads, draw):
        results = [{} for _ in paths]
        for side in draw.sample(range(len(paths)), len(paths)):
            request = Request(str(paths[side]), "single-stream", 0.05, threads, pinned=False, power="none")
            result = worker.measure_request(request, edgevid.open, lambda event: None)
            results[side] = {**result, "turn_p50_ms": [result["latency_ms"]["p50"]]}
        return results

    monkeypatch.setattr(gate, "compare", functools.partial(gate.compare, measure=measure))

    def run(before: str, after: str, *options: str, is_disturbed: bool = False):
        gc.freeze()  # each measurement collects garbage, of which an export leaves a second's worth
        monkeypatch.setattr(pairs, "is_disturbed", lambda result: is_disturbed)
        bundles = ("--baseline", before, "--candidate", after)
        return run_edgevid("regress", *bundles, "--threads", "1", "--threshold", "50%", *options)

    return run


@pytest.mark.slow
def test_a_slow_commit_is_caught_the_next_passes_and_a_flaky_machine_blocks_nothing(
    repository, export_head, regress
):
    bundles = []
    for name, network in (("first", FAST), ("slow", SLOW), ("mended", FAST)):
        repository.commit(network)
        bundles.append(export_head(name))
    first, slow, mended = bundles

    caught = regress(first, slow, "--report", "github")
    assert caught.status == 1, (caught.out, caught.err)
    assert "::error file=network.py,line=25,title=edgevid regress%3A latency_p50_ms::" in caught.out

    passed = regress(first, mended)
    assert passed.status == 0 and "pass: " in passed.out, (passed.out, passed.err)

    flaky = ("--budget", "0.5s", "--report", "github")
    for options, status in ((flaky, 2), ((*flaky, "--allow-inconclusive"), 0)):
        undecided = regress(first, slow, *options, is_disturbed=True)
        assert undecided.status == status and undecided.out.startswith("::notice ")
        assert "use a quieter machine" in undecided.out


FAKE = f"""#!{sys.executable}
import pathlib, sys
if sys.argv[1] == "export":
    output = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
    output.write_text(pathlib.Path("network.py").read_text())
else:
    print(sys.argv[1:])
    for option in ("--baseline", "--candidate"):
        text = pathlib.Path(sys.argv[sys.argv.index(option) + 1]).read_text()
        print(option, next(line for line in text.splitlines() if line.startswith("STRIDE")))
    sys.exit(1)
"""


def test_its_script_compares_this_checkout_with_another_commit_and_leaves_nothing(repository, monkeypatch):
    fake = repository.root.parent / "bin" / "edgevid"
    fake.parent.mkdir()
    fake.write_text(FAKE)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(repository.root.parent / "bin"))
    repository.commit(SLOW)
    repository.commit(FAST)
    command = [repository.root / "gate.sh", "HEAD~1", "--budget", "60s"]
    result = subprocess.run(command, cwd="/", capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert result.returncode == 1 and lines[0].endswith("'--budget', '60s']")
    assert lines[1:] == ["--baseline STRIDE = 1", "--candidate STRIDE = 4"]
    assert [path.name for path in fake.parent.iterdir()] == ["edgevid"]
    assert len(repository.git("worktree", "list").splitlines()) == 1


def test_its_jobs_use_what_there_is():
    action = yaml.safe_load((EXAMPLE.parent.parent / "action.yml").read_text())
    workflow = yaml.safe_load((EXAMPLE / ".github" / "workflows" / "latency.yml").read_text())
    steps = workflow["jobs"]["gate"]["steps"]
    (used,) = (step for step in steps if "edgevid@" in step.get("uses", ""))
    assert {name for name, given in action["inputs"].items() if given.get("required")} <= set(used["with"])
    assert set(used["with"]) <= set(action["inputs"])
    outputs = re.findall(r"steps\.gate\.outputs\.([a-z]+)", str(steps))
    assert outputs and set(outputs) <= set(action["outputs"])
    template = yaml.safe_load((EXAMPLE.parent.parent / "ci" / "gitlab.yml").read_text())
    job = yaml.safe_load((EXAMPLE / ".gitlab-ci.yml").read_text())["latency"]
    assert job["extends"] in template
    assert {"BASELINE", "CANDIDATE"} <= set(job["variables"])
    assert set(job["variables"]) - {"GIT_DEPTH"} <= set(template[job["extends"]]["variables"])
