"""The project's gate on instructions: which commit it compares with, what it skips, and what it says."""

from __future__ import annotations

import subprocess

import commit_instructions
import pytest
from commit_instructions import Skipped, base_of, extract, reasons, report, require_change

from edgevid.benchmarks.regress.callgrind import Counts
from edgevid.benchmarks.regress.instructions import metrics_of

AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")


@pytest.fixture
def repository(tmp_path):
    """``repository.commit(message, file=content)`` in a new repository; ``repository.root`` is its folder."""

    class Repository:
        root = tmp_path / "repository"

        def git(self, *arguments: str) -> str:
            command = ["git", "-C", str(self.root), *AUTHOR, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        def write(self, name: str, content: str) -> None:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(content)

        def commit(self, message: str, **content: str) -> str:
            for name, text in content.items():
                self.write(f"{name}/module.py", text)
            self.git("add", ".")
            self.git("commit", "-qm", message)
            return self.git("rev-parse", "HEAD")

    repository = Repository()
    repository.root.mkdir()
    repository.git("init", "-q")
    return repository


def test_a_commit_is_compared_with_the_one_before_and_changed_files_with_head(repository):
    first = repository.commit("First", kernels="1")
    second = repository.commit("Second", kernels="2")
    assert base_of(repository.root) == first
    repository.write("kernels/module.py", "3")
    assert base_of(repository.root) == second


def test_a_clone_of_one_commit_is_skipped_with_the_remedy(repository, tmp_path):
    repository.commit("First", kernels="1")
    repository.commit("Second", kernels="2")
    shallow = tmp_path / "shallow"
    command = ["git", "clone", "-q", "--depth", "1", repository.root.as_uri(), str(shallow)]
    subprocess.run(command, check=True)
    with pytest.raises(Skipped, match="git fetch --deepen 1"):
        base_of(shallow)


def test_a_change_of_what_no_network_executes_is_skipped(repository):
    first = repository.commit("First", edgevid="1", docs="1")
    repository.commit("Second", docs="2", **{"edgevid/cli": "2"})
    with pytest.raises(Skipped, match="nothing that networks execute has changed"):
        require_change(first, repository.root)
    repository.commit("Third", edgevid="3")
    require_change(first, repository.root)


def test_the_reason_is_the_last_line_of_a_commit_since_the_base(repository):
    first = repository.commit("First\n\nSlower: too old to count", kernels="1")
    repository.commit("Second\n\nBorders are exact.\n\nSlower: exact borders need a comparison", kernels="2")
    repository.commit("Third\n\nNot Slower: than before", kernels="3")
    assert reasons(first, repository.root) == ["exact borders need a comparison"]


def test_the_packages_of_a_commit_are_installed_inside_edgevid(repository, tmp_path):
    contents = dict.fromkeys(commit_instructions.PACKAGES, "1")
    first = repository.commit("First", **contents)
    repository.commit("Second", edgevid="2")
    package = extract(first, tmp_path / "package", repository.root)
    assert (package / "edgevid/module.py").read_text() == "1"
    assert (package / "edgevid/kernels/module.py").is_file()


@pytest.fixture
def gate(monkeypatch, capsys):
    """``gate(old, new, reasons)``: exit status, stdout and stderr of the gate with these counts."""

    def run(old: Counts, new: Counts, accepted: list[str] = ()):
        metrics = {"tsm_mbv2": metrics_of([old], [new], commit_instructions.THRESHOLD)}
        for name, value in {
            "base_of": "0" * 40, "require_change": None, "compare": metrics, "reasons": accepted,
        }.items():  # fmt: skip
            monkeypatch.setattr(commit_instructions, name, lambda *_, value=value: value)
        monkeypatch.setattr("sys.argv", ["commit_instructions"])
        return commit_instructions.main(), *capsys.readouterr()

    return run


OLD = Counts(1_000_000, {"ShiftConv": 500_000, "Gate": 100_000})


def test_more_instructions_fail_without_a_recorded_reason(gate):
    worse = Counts(1_020_000, {"ShiftConv": 520_000, "Gate": 100_000})
    status, out, err = gate(OLD, worse)
    assert status == 1 and "Slower: REASON" in err
    assert "ShiftConv" in out and "+4.00%" in out and "Gate" not in out
    status, out, _ = gate(OLD, worse, ["exact borders"])
    assert status == 0 and "exact borders" in out


def test_fewer_or_equal_instructions_pass(gate):
    assert gate(OLD, OLD)[0] == gate(OLD, Counts(900_000, {"ShiftConv": 400_000, "Gate": 100_000}))[0] == 0


def test_a_kernel_that_is_new_is_reported_without_a_change():
    text = report({"net": metrics_of([Counts(100, {})], [Counts(100, {"Gate": 10})], 0.005)})
    assert "Gate" in text and "%" in text.splitlines()[2] and "%" not in text.splitlines()[3]
