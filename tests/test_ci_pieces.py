"""The GitHub Action, GitLab's template and the pre-commit hook, run with an ``edgevid`` that ends as told."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from edgevid.cli.regress import command

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
TEMPLATE = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())[".edgevid-regress"]
HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())[0]
STATUS = {"pass": 0, "regression": 1, "inconclusive": 2, None: 3}
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")  # as GitHub runs "shell: bash"

FAKE = f"""#!{sys.executable}
import json, os, sys
json.dump(sys.argv[1:], open(os.environ["ARGUMENTS"], "w"))
verdict = os.environ["VERDICT"]
for name, value in zip(sys.argv, sys.argv[1:]):
    if verdict and name in ("--json", "--report"):
        text = json.dumps({{"verdict": verdict}}) if name == "--json" else f"the text of {{value}}\\n"
        with open(value.rpartition(":")[2], "w") as file:
            file.write(text)
status = {{"pass": 0, "regression": 1, "inconclusive": 2}}.get(verdict, 3)
sys.exit(0 if status == 2 and "--allow-inconclusive" in sys.argv else status)
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """``shell(script, verdict, **variables)``: bash runs it; gives status, output and the arguments."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "edgevid"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("ARGUMENTS", str(tmp_path / "arguments.json"))
    monkeypatch.chdir(tmp_path)

    def run(script: str, verdict: str | None, **variables: str) -> SimpleNamespace:
        environment = {**os.environ, "VERDICT": verdict or "", **variables}
        result = subprocess.run([*BASH, script], capture_output=True, text=True, env=environment)
        arguments = Path("arguments.json")
        return SimpleNamespace(
            status=result.returncode,
            out=result.stdout + result.stderr,
            arguments=json.loads(arguments.read_text()) if arguments.exists() else None,
        )

    return run


@pytest.fixture
def act(shell, tmp_path):
    """``act("regression", threads="2", ...)``: the steps of the action, as GitHub's runner runs them."""

    def run(verdict: str | None, **inputs: str) -> SimpleNamespace:
        values = {name: str(given.get("default", "")) for name, given in ACTION["inputs"].items()}
        values |= {"baseline": "old", "candidate": "new"}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}
        context = {f"inputs.{name}": value for name, value in values.items()}
        context["github.action_path"] = str(ROOT)
        files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("")
        for step in ACTION["runs"]["steps"]:
            variables = {
                name: re.sub(r"\$\{\{ (.+?) \}\}", lambda match: context[match[1]], value)
                for name, value in step["env"].items()
            }
            variables |= {name: str(path) for name, path in files.items()}
            result = shell(step["run"], verdict, **variables, RUNNER_TEMP=str(tmp_path))
            if result.status:
                break
        result.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        result.outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return result

    return run


@pytest.mark.parametrize(
    ("verdict", "status"), [("pass", 0), ("regression", 1), ("inconclusive", 0), (None, 3)]
)
def test_the_action_fails_on_a_regression_and_not_on_inconclusive(act, verdict, status):
    assert act(verdict).status == status


def test_the_action_can_fail_on_inconclusive(act):
    assert act("inconclusive", fail_on_inconclusive="true").status == 2


def test_the_action_shows_annotations_and_a_summary_and_says_where_the_rest_is(act):
    result = act("regression", threads="2", file="net.py")
    assert "the text of" in result.out and "annotations" in result.out and "summary.md" in result.summary
    folder = Path(result.outputs["folder"])
    assert result.outputs["verdict"] == "regression"
    for name in ("verdict.json", "summary.md", "junit.xml", "results.sarif"):
        assert (folder / name).is_file() and name in ACTION["outputs"]["folder"]["description"]
    assert " ".join(result.arguments).startswith(
        "regress --baseline old --candidate new --threshold 3% --budget 120s --threads 2 --file net.py"
    )
    assert not {"--dataset", "--power"} & set(result.arguments)


def test_the_action_says_that_there_is_no_verdict(act):
    result = act(None)
    assert "::error title=edgevid regress::There is no verdict (exit status 3)" in result.out
    assert result.summary == "" and "verdict" not in result.outputs


def test_inputs_are_arguments_whatever_they_say(act):
    hostile = """$(touch hacked) `touch hacked`"; touch hacked; '"""
    names = (
        *("baseline", "candidate", "reference", "threshold", "threads", "file", "budget"),
        *("dataset", "power"),
    )
    result = act("pass", **dict.fromkeys(names, hostile))
    assert result.arguments.count(hostile) == len(names) and not Path("hacked").exists()
    assert all("${{" not in step["run"] for step in ACTION["runs"]["steps"])


@pytest.mark.parametrize("verdict", list(STATUS))
def test_gitlab_warns_of_inconclusive_and_fails_on_the_rest(shell, verdict):
    variables = {**TEMPLATE["variables"], "BASELINE": "the old", "CANDIDATE": "new"}
    result = shell("\n".join(TEMPLATE["script"]), verdict, **variables)
    assert result.status == STATUS[verdict] and "the old" in result.arguments
    assert not {"--reference", "--dataset", "--power"} & set(result.arguments)
    measures = {"DATASET": "the videos", "POWER": "csv:a meter.csv"}
    added = shell("\n".join(TEMPLATE["script"]), verdict, **{**variables, **measures}).arguments
    assert added[added.index("--dataset") + 1] == "the videos" and "csv:a meter.csv" in added
    assert TEMPLATE["allow_failure"]["exit_codes"] == [STATUS["inconclusive"]]
    if verdict:
        assert all(Path(report).is_file() for report in TEMPLATE["artifacts"]["reports"].values())
        assert {path.parent.name for path in map(Path, TEMPLATE["artifacts"]["reports"].values())} == {
            path.strip("/") for path in TEMPLATE["artifacts"]["paths"]
        }


@pytest.mark.parametrize(
    ("verdict", "status"), [("pass", 0), ("regression", 1), ("inconclusive", 0), (None, 3)]
)
def test_the_hook_blocks_a_push_on_a_regression_only(shell, verdict, status):
    arguments = shlex.join(["--baseline", "old", "--candidate", "new"])
    assert shell(f"{HOOK['entry']} {arguments}", verdict).status == status
    assert HOOK["pass_filenames"] is False and HOOK["stages"] == ["pre-push"]


def test_every_option_that_they_use_exists():
    known = {name for parameter in command.params for name in parameter.opts}
    scripts = [step["run"] for step in ACTION["runs"]["steps"]] + TEMPLATE["script"] + [HOOK["entry"]]
    used = set(re.findall(r"--[a-z][a-z-]*", "\n".join(s for s in scripts if "regress" in s)))
    assert {"--baseline", "--candidate", "--report", "--allow-inconclusive"} <= used <= known


def test_their_shell_is_clean():
    shellcheck = shutil.which(
        "shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    scripts = [step["run"] for step in ACTION["runs"]["steps"]] + ["\n".join(TEMPLATE["script"])]
    for script in scripts:
        result = subprocess.run(
            [shellcheck, "--shell=bash", "-"], input=script, text=True, capture_output=True
        )
        assert result.returncode == 0, result.stdout
