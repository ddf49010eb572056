"""Every command of the README and of the first page of docs/ works, and their Python does what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from edgevid.video import moving_shapes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
START = (ROOT / "docs" / "README.md").read_text("utf-8")
GAINS = (ROOT / "docs" / "gains.md").read_text("utf-8")
VENV = Path(sys.prefix)
TIMEOUT_S = 300


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README + START, flags=re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


EDGEVID = [command for command in commands() if command.startswith("edgevid ")]
MAKE = [command for command in commands() if command.startswith("make ")]
PIP = [command for command in commands() if command.startswith("pip ")]


def bash(command: str, folder: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder with a video of theirs; commands leave their bundles here for those that follow."""
    folder = tmp_path_factory.mktemp("readme")
    moving_shapes.write(folder / "video.mp4")
    return folder


def test_the_readme_is_one_page_with_two_commands():
    assert len(README.splitlines()) <= 60
    assert "".join(re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)).count("\n") == 2


def test_there_are_commands_of_each_kind_and_no_other():
    assert len(EDGEVID) >= 6
    assert sorted(MAKE) == ["make demo", "make test"]
    assert sorted(EDGEVID + MAKE + PIP) == sorted(commands())


# One test, because each command needs what those before it made. Exports run in this process, which traces
# the network once for all targets; `make demo` starts `edgevid export` as a user does.
@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_S * 2)
def test_the_commands_work_in_their_order(folder, run_edgevid, monkeypatch):
    monkeypatch.chdir(folder)
    for command in EDGEVID:
        if command.startswith("edgevid export "):
            result = run_edgevid(*shlex.split(command)[1:])
            assert result.status == 0, f"{command}\n{result.out}\n{result.err}"
        else:
            result = bash(command, folder)
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    for block in blocks("python"):
        result = subprocess.run(
            [sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S
        )
        assert result.returncode == 0, f"{block}\n{result.stderr}"


@pytest.mark.long
def test_make_demo_exports_runs_and_measures(tmp_path):
    if not (VENV / ".export-installed").exists():
        pytest.skip(
            "this environment was not made by 'make test' or 'make demo', so make would install it anew"
        )
    # The recipe writes into demo/, so it runs in a copy of the parts that it reads.
    for name in ("Makefile", "pyproject.toml", "setup.py", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        os.utime(tmp_path / name, (0, 0))
    shutil.copytree(ROOT / "edgevid/zoo/weights", tmp_path / "edgevid/zoo/weights")
    result = bash(f"make demo VENV={VENV} DURATION=1", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "equal to PyTorch" in result.stdout
    assert "single-stream" in result.stdout
    assert "demo/digits/test/zero_then_one/0000.mp4: " in result.stdout
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"bench.json", "digits", "tsm_mbv2"}


def test_make_test_is_what_the_gate_calls():
    assert 'make test VENV="$venv"' in (ROOT / ".ci" / "run").read_text()
    assert "test:" in (ROOT / "Makefile").read_text()


def test_measured_figures_carry_machine_date_and_command():
    table_and_text = r"^\|[^\n]* ms [^\n]*\|\n(?:\|[^\n]*\n)+\n((?:[^\n]+\n)+)"
    sections = re.findall(table_and_text, GAINS, flags=re.MULTILINE)
    commands = (
        "edgevid.benchmarks.experiments.peers --pairs 10",
        "edgevid.benchmarks.experiments.peers.video",
    )
    assert len(sections) == len(commands)
    for section, command in zip(sections, commands):
        for words in ("Measured on", "2026-", "cores", command):
            assert words in section


def test_the_figures_are_the_medians_of_the_kept_samples():
    results = json.loads((ROOT / "benchmarks/results/2026-11-25-peers-epyc-2-cores.json").read_text())
    case = next(case for case in results["cases"] if case["case"]["model"] == "resnet50")
    assert case["case"]["mode"] == "clip"
    rounds = [[statistics.median(samples) for samples in each["samples_ms"]] for each in case["contestants"]]
    medians = {round(statistics.median(each)) for each in rounds}
    table = GAINS.split("| ResNet-50, 8x224x224, fp32 |")[1].split("Measured on")[0]
    shown = {int(number) for number in re.findall(r"\| \**(\d{3})\**(?= )", table)}
    assert len(shown) == 11
    assert shown <= medians


def test_the_readme_has_rows_of_that_table():
    rows = [line for line in README.splitlines() if re.search(r"\| \**\d{3}\** \|", line)]
    assert len(rows) == 4
    assert set(rows) <= set(GAINS.splitlines())
