"""``edgevid explain`` writes where the evidence is; what it cannot explain is one line and leaves nothing."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import av
import numpy as np
import pytest
from one_explained_bundle import write_explained, write_square
from PIL import Image

from edgevid.video.explain import write as files


@pytest.fixture
def video(tmp_path):
    write_square(tmp_path / "square.mp4")
    return tmp_path / "square.mp4"


@pytest.fixture
def explain(tmp_path, video, run_edgevid):
    """Explain the video with a bundle of the kind; gives the result, and the folder."""

    def run(*arguments: object, streaming: bool = False):
        write_explained(tmp_path / "bundle", streaming)
        folder = tmp_path / "out"
        result = run_edgevid("explain", tmp_path / "bundle", "--video", video, "-o", folder, *arguments)
        assert result.status == 0, result.err
        return result, folder

    return run


def test_a_clip_gets_a_video_pictures_and_maps_of_its_best_class(explain):
    result, folder = explain("--json")
    content = json.loads(result.out)
    assert content == json.loads((folder / "explain.json").read_text())
    assert content["files"] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert (content["method"], content["map_size"], content["model"]) == ("CAM", [8, 8], "tiny")
    assert content["predictions"][0]["label"] == content["class"]["label"] == "red"
    assert [frame["index"] for frame in content["frames"]] == [1, 3, 5, 7]
    first = content["frames"][0]["peak"]
    assert all(1 / 8 < side < 3 / 8 for side in first), "the red square is in the upper left"
    with av.open(str(folder / "explain.mp4")) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
    assert len(pictures) == 4
    assert pictures[0].shape == (448 + 32, 2 * 448 + 8, 3)
    numbers = [int(path.stem) for path in sorted((folder / "frames").iterdir())]
    assert numbers == [1, 3, 5, 7]
    assert np.asarray(Image.open(folder / "frames.png")).shape == (480, 2 * 448 + 24, 3)


def test_the_mean_of_the_maps_is_the_logit_of_their_class(explain):
    from one_explained_bundle import BIAS

    result, folder = explain("--class", "blue", "--json")
    with np.load(folder / "maps.npz") as arrays:
        assert set(arrays["classes"]) == {1}
        assert arrays["maps"].mean() + BIAS[1] == pytest.approx(arrays["logits"][1], abs=1e-5)
    last = json.loads(result.out)["frames"][-1]["peak"]
    assert all(5 / 8 < side < 7 / 8 for side in last), "the blue square is in the lower right"


def test_a_stream_gets_the_leading_class_of_each_frame_and_its_confidence_over_time(explain):
    pytest.importorskip("matplotlib", reason="the chart needs the report extra")
    result, folder = explain("--json", streaming=True)
    content = json.loads(result.out)
    assert (len(content["frames"]), content["class"]) == (8, None)
    assert [frame["class"] for frame in content["frames"]][::7] == [0, 1]
    confidence = content["confidence"]
    assert confidence["time_s"] == pytest.approx([i / 8 for i in range(8)])
    red = next(entry for entry in confidence["classes"] if entry["label"] == "red")
    assert red["probability"][0] > red["probability"][-1]
    assert (folder / "confidence.svg").read_bytes().startswith(b"<?xml")


def test_the_text_names_the_class_and_the_files(explain):
    result, folder = explain()
    assert "best class: red" in result.out and "CAM of red, 4 frames:" in result.out
    assert str(folder / "explain.mp4") in result.out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--class", "bleu"], ["unknown class 'bleu'", "did you mean blue"]),
        (["--class", "7"], ["there is no class 7", "from 0 to 2"]),
        (["--layer", "body"], ["add --weights FILE"]),
        (["--video", "none.mp4"], ["no video at 'none.mp4'"]),
        (["--video", "-"], ["save it to a file first"]),
        (["-o", "."], ["not empty and no explanation"]),
        (["--weights", "none.pt"], ["tiny is not in 'edgevid list models'"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, words, refuses, video, tmp_path, monkeypatch):
    write_explained(tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    refuses(["explain", "bundle", "--video", video, *arguments], *words)
    assert sorted(tmp_path.iterdir()) == before


def test_a_bundle_without_maps_says_how_to_export_it_again(refuses, video, tmp_path):
    write_explained(tmp_path / "bundle", with_maps=False)
    arguments = ["explain", tmp_path / "bundle", "--video", video, "-o", tmp_path / "out"]
    refuses(arguments, "no class activation maps", "export it again with --explain", "--weights")


def test_an_explanation_is_replaced_on_request_only(explain, refuses, video, tmp_path):
    _, folder = explain()
    arguments = ["explain", tmp_path / "bundle", "--video", video, "-o", folder]
    refuses(arguments, "--force")
    (folder / "frames.png").unlink()
    explain("--force")
    assert (folder / "frames.png").is_file()


def test_on_a_full_disk_nothing_half_written_stays(refuses, video, tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "explain.mp4")

    monkeypatch.setattr(files, "write_h264", full)
    write_explained(tmp_path / "bundle")
    before = sorted(tmp_path.iterdir())
    arguments = ["explain", tmp_path / "bundle", "--video", video, "-o", tmp_path / "out"]
    refuses(arguments, "No space left on device. Free space, or choose another with -o")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_a_bundle_is_explained_without_pytorch_and_onnx(video, tmp_path):
    write_explained(tmp_path / "bundle")
    code = (
        "import sys; from edgevid.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "sys.exit(sorted({'torch', 'onnx'} & set(sys.modules)) or 0)"
    )
    arguments = ["explain", str(tmp_path / "bundle"), "--video", str(video), "-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "explain.json").is_file()
