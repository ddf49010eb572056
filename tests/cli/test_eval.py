"""``edgevid eval``: JSON, files, and one line for wrong use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from one_bundle import CLIP, as_made_for, write_bundle, write_running_bundle
from one_video import write_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_running_bundle(tmp_path_factory.mktemp("eval") / "bundle").path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Class folders with a video each."""
    root = tmp_path_factory.mktemp("data")
    for number in range(CLIP.classes):
        (root / f"class{number}").mkdir()
        write_video(root / f"class{number}" / "a.mp4", number)
    return root


def test_json_has_the_keys_of_the_contract(run_edgevid, bundle, folder):
    result = run_edgevid("eval", bundle, "--dataset", folder, "--json")
    assert result.status == 0, result.err
    document = json.loads(result.out)
    assert set(document) >= {
        "bundle", "dataset", "protocol", "videos", "skipped", "top1", "top5", "mean_class_accuracy",
        "top1_interval", "top5_interval", "mean_class_accuracy_interval", "expected_calibration_error",
        "expected_calibration_error_interval", "confusion", "classes", "seconds",
    }  # fmt: skip
    assert document["videos"] == 5 and document["top5"] == 1.0
    assert document["classes"] == [f"class{number}" for number in range(5)]


def test_files_and_their_journal_are_written_and_resumed(run_edgevid, bundle, folder, tmp_path):
    arguments = ["--json", tmp_path / "result.json", "--predictions", tmp_path / "predictions.csv"]
    result = run_edgevid("eval", bundle, "--dataset", folder, "--protocol", "tsm-official", *arguments)
    assert result.status == 0 and "protocol tsm-official" in result.out
    first = json.loads((tmp_path / "result.json").read_text())
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 6
    assert len((tmp_path / "result.journal.jsonl").read_text().splitlines()) == 5
    run_edgevid("eval", bundle, "--dataset", folder, "--protocol", "tsm-official", *arguments, "--resume")
    second = json.loads((tmp_path / "result.json").read_text())
    assert (first["resumed"], second["resumed"]) == (0, 5)
    assert first["confusion"] == second["confusion"]


def test_wrong_use_is_one_line(run_edgevid, bundle, folder, tmp_path):
    jetson = write_bundle(tmp_path / "jetson", as_made_for("jetson")).path
    for arguments, message in (
        ((bundle, "--dataset", tmp_path / "none"), "no data set at"),
        ((bundle, "--dataset", folder, "--protocol", "tsm"), "unknown protocol 'tsm'"),
        ((tmp_path, "--dataset", folder), "is not a bundle"),
        ((bundle, "--dataset", folder, "--online"), "--online needs a streaming bundle"),
        ((bundle, "--dataset", folder, "--json", tmp_path / "no" / "r.json"), "cannot write"),
        ((jetson, "--dataset", folder), "is for jetson"),
    ):
        result = run_edgevid("eval", *arguments)
        assert result.status == 2 and message in result.err, result.err
        assert len(result.err.splitlines()) == 1


@pytest.mark.slow
def test_evaluation_does_not_import_torch(bundle, folder):
    code = (
        "import sys; from edgevid.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(sorted({'torch', 'onnx', 'scipy', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    command = [sys.executable, "-c", code, "eval", str(bundle), "--dataset", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0 and "top-1" in result.stdout, result.stderr
    assert result.stderr == ""
