"""``edgevid train``: on a folder of small videos, from the first epoch to a checkpoint that exports."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest

from edgevid.cli import main
from edgevid.cli import train as train_command
from edgevid.exporter.request import make_request
from edgevid.specs.export_options import ExportOptions

SMALL = ["--width=0.25", "--size=32", "--frames=4", "--batch=4", "--epochs=2", "--threads=1"]


def write_square(path: Path, row: int, to_the_right: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 40, "yuv420p"
        for column in sorted(range(0, 32, 4), reverse=not to_the_right):
            image = np.zeros((40, 40, 3), np.uint8)
            image[row : row + 8, column : column + 8] = 255
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(stream.encode())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """4 videos to train on and 2 to test on of each of two classes, and a file that is none."""
    root = tmp_path_factory.mktemp("squares")
    for split, rows in (("train", (0, 8, 16, 24)), ("test", (4, 20))):
        for number, row in enumerate(rows):
            for name in ("left", "right"):
                write_square(root / split / name / f"{number}.mp4", row, name == "right")
    (root / "train" / "left" / "broken.mp4").write_bytes(b"no video")
    return root


@pytest.fixture
def train(dataset, tmp_path, capsys):
    def call(*arguments: str, model: str = "tsm_mbv2") -> tuple[int, str, str]:
        options = ["--dataset", str(dataset), "-o", str(tmp_path / "out"), *SMALL, *arguments]
        with pytest.raises(SystemExit) as stop:
            main(["train", model, *options])
        return stop.value.code, *capsys.readouterr()

    return call


@pytest.mark.slow
def test_a_training_can_be_interrupted_continued_and_exported(train, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(train_command, "_say", interrupt_at := InterruptAt("epoch 1/2"))
    assert train()[0] == 130
    assert "after epoch 1; the same command with --resume continues" in interrupt_at.lines[-1]
    assert "left out 1 of 9 videos" in interrupt_at.lines[0] and "broken.mp4" in interrupt_at.lines[0]
    monkeypatch.undo()
    status, text, log = train("--resume")
    assert status == 0
    assert "epoch 2/2" in log and "epoch 1/2" not in log
    assert f"edgevid export tsm_mbv2 --weights {out / 'checkpoint.pt'}" in text
    assert (out / "classes.txt").read_text() == "left\nright\n"
    assert [epoch["number"] for epoch in json.loads((out / "curves.json").read_text())["epochs"]] == [1, 2]
    assert (out / "curves.svg").read_bytes().startswith(b"<?xml") and (out / "curves.png").exists()
    options = ExportOptions(weights=out / "checkpoint.pt")
    request = make_request("tsm_mbv2", "cpu", tmp_path / "bundle", options)
    assert (request.frames, request.size, request.trained.classes) == (4, 32, ("left", "right"))
    status, _, log = train()
    assert status == 2 and "holds a training: continue it with --resume" in log
    status, _, log = train("--resume", "--epochs", "3")
    assert status == 2 and "other settings (epochs 2, not 3)" in log


class InterruptAt:
    """Ctrl-C at a line of the log, which begins with ``start``."""

    def __init__(self, start: str) -> None:
        self.start, self.lines = start, []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith(self.start):
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume",), "holds no training to resume"),
        (("--test-split", "train"), "has the same videos in 'train' and 'train'"),
        (("--short-side", "16"), "--short-side must be at least the size, 32"),
        (("--scales", "1,x"), "--scales takes numbers such as 1,0.875"),
        (("--lr", "0"), "--lr must be above 0"),
        (("--memory", "1e-9"), "allow more with --memory"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(train, arguments, message):
    status, _, log = train(*arguments)
    assert status == 2 and message in log and len(log.splitlines()) == 1


def test_networks_of_other_inputs_are_refused(train):
    for model in ("mobilenet_v1", "tsn_r50_flow"):
        assert "is no classifier of RGB clips" in train(model=model)[2]
