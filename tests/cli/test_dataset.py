"""``edgevid dataset digits``."""

from __future__ import annotations

import json

import pytest

from edgevid.cli import main
from edgevid.video.datasets import open_dataset

pytest.importorskip("sklearn", reason="the digits are scikit-learn's: pip install 'edgevid[datasets]'")


@pytest.fixture
def dataset(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["dataset", "digits", *map(str, arguments)])
        output = capsys.readouterr()
        return stop.value.code, output.out, output.err

    return call


def test_one_command_makes_what_eval_and_train_read(dataset, tmp_path):
    folder = tmp_path / "new" / "digits"
    small = ("-o", folder, "--videos", 1, 1, "--size", 16, "--frames", 3)
    assert dataset(*small) == (
        0,
        f"{folder}: 20 videos of 10 classes\n"
        f"next: edgevid train MODEL --dataset {folder}, or edgevid eval BUNDLE --dataset {folder}\n",
        "",
    )
    assert len(open_dataset(folder).videos) == 10
    status, out, _ = dataset(*small, "--json")
    assert status == 0
    assert json.loads(out) == json.loads((folder / "dataset.json").read_text())


def test_bad_input_is_one_line(dataset, tmp_path):
    status, _, err = dataset("-o", tmp_path / "digits", "--size", 33)
    assert (status, err.count("\n")) == (2, 1)
    assert "it must be even" in err
    (tmp_path / "mine").touch()
    status, _, err = dataset("-o", tmp_path, "--streaming")
    assert (status, err.count("\n")) == (2, 1)
    assert "has something else" in err
