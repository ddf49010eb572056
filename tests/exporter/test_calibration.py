"""``--precision int8`` measures its ranges on one's own videos, is judged on others, refuses bad folders."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from one_bundle import changed_bytes_are_noticed
from one_video import write_video, write_videos
from tiny_network import Shifted

import edgevid
from edgevid import parity
from edgevid.errors import EdgevidError, ParityError, VideoError
from edgevid.exporter.calibration import find_videos, load_clips, top1_agreement
from edgevid.specs import LOCAL_TOLERANCE, TOLERANCE, ModelSpec, Parity
from edgevid.zoo import MODELS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder / "class", 6)
    return folder


def spec(name: str = "tsm_mbv2", size: int = 32):
    return replace(MODELS[name], preprocessing=MODELS[name].preprocessing.at_size(size))


def test_clips_are_the_same_for_the_same_seed_and_others_for_another(videos):
    first, again, other = (load_clips(videos, spec(), 4, seed) for seed in (0, 0, 1))
    for clips in (first, other):
        assert {clip.shape for clip in clips.measured + clips.held_out} == {(1, 4, 3, 32, 32)}
        assert (clips.videos, clips.skipped) == (6, ())
    assert all(np.array_equal(a, b) for a, b in zip(first.measured, again.measured))
    assert not all(np.array_equal(a, b) for a, b in zip(first.measured, other.measured))


def test_held_out_clips_are_of_videos_that_nothing_was_measured_on(videos):
    clips = load_clips(videos, spec(), 4, 0)
    assert (len(clips.measured), len(clips.held_out)) == (12, 6), "3 clips of each; 2 videos of 6 held out"
    # The stripes' two colors identify a video.
    colors = [
        {tuple(np.round(c.max((0, 1, 3, 4)), 1)) for c in part} for part in (clips.held_out, clips.measured)
    ]
    assert not colors[0] & colors[1]


def test_numbers_are_those_that_a_bundle_can_hold(videos):
    clip = load_clips(videos, spec(), 2, 0).held_out[0]
    assert np.array_equal(clip.astype(np.float16).astype(np.float32), clip)


def test_a_single_video_gives_clips_of_both_kinds(tmp_path):
    write_video(tmp_path / "one.mp4", 0)
    clips = load_clips(tmp_path, spec(), 2, 0)
    assert (len(clips.measured), len(clips.held_out), clips.videos) == (12, 4, 1)


def test_networks_of_images_get_frames(videos):
    assert load_clips(videos, spec("shufflenet_v1"), 1, 0).measured[0].shape == (1, 3, 32, 32)


def test_a_corrupt_video_is_left_out_with_a_warning(videos, tmp_path, caplog):
    for path in find_videos(videos)[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    clips = load_clips(tmp_path, spec(), 2, 0)
    assert clips.videos == 2
    assert "broken.mp4" in clips.skipped[0]
    assert any("broken.mp4" in record.getMessage() for record in caplog.records)


def test_a_folder_of_corrupt_videos_is_refused(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 500)
    with pytest.raises(VideoError, match=r"no video in .* can be read .*broken\.mp4"):
        load_clips(tmp_path, spec(), 2, 0)


def test_bad_requests_are_one_line(refuses, tmp_path, videos):
    (tmp_path / "notes.txt").write_text("no video")
    int8 = ["export", "tsm_mbv2", "-o", tmp_path / "b", "--precision", "int8"]
    refuses(int8, "--precision int8 needs --calibration DIR")
    refuses([*int8, "--calibration", tmp_path / "absent"], "is not a folder")
    refuses([*int8, "--calibration", tmp_path], "contains no videos", ".mp4")
    refuses(
        ["export", "tsm_mbv2", "-o", tmp_path / "b", "--calibration", videos], "is only for --precision int8"
    )


def test_networks_of_something_else_than_colours_are_refused(tmp_path, videos):
    flow = next(entry.name for entry in MODELS.values() if entry.channels != 3)
    with pytest.raises(EdgevidError, match="not RGB frames"):
        edgevid.export(flow, output=tmp_path / "b", precision="int8", calibration=videos)


def test_an_int8_bundle_says_how_it_was_made_and_how_far_it_is(run_edgevid, tmp_path, videos):
    options = ["--classes", 5, "--frames", 2, "--size", 32, "-o", tmp_path / "b", "--json"]
    result = run_edgevid("export", "tsm_mbv2", "--precision", "int8", "--calibration", videos, *options)
    printed = json.loads(result.out)
    assert (printed["precision"], printed["kernels"]) == ("int8", ["TemporalShift (standard operators) x10"])
    assert printed["parity"]["clips"] == 6
    assert 0 <= printed["parity"]["top1_agreement"] <= 1
    assert 0 < printed["parity"]["max_rel"] <= TOLERANCE["int8"]
    assert 0 < printed["parity"]["local_error"] <= LOCAL_TOLERANCE
    session = edgevid.open(tmp_path / "b")
    recorded = session.manifest.calibration
    assert (recorded["videos"], recorded["clips"], recorded["held_out"]) == (6, 12, 6)
    assert session.manifest.parity.top1_agreement == printed["parity"]["top1_agreement"]
    clip, expected = parity.load(tmp_path / "b")
    assert parity.compare(session.run(clip), expected, TOLERANCE["int8"]).ok
    model = onnx.load(tmp_path / "b" / "model.int8.onnx")
    assert (tmp_path / "b" / "model.int8.onnx").stat().st_size < 0.35 * session.manifest.weights.size_bytes
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) > 52
    assert changed_bytes_are_noticed(session.bundle, tmp_path / "copy") == len(session.manifest.files) + 2


def test_a_stream_in_int8_keeps_its_states(tmp_path, videos):
    network = Shifted("causal")
    network.edgevid_spec = ModelSpec("own", "a network", "", "this test", frames=2, size=32, causal=True)
    options = {"precision": "int8", "calibration": videos}
    bundle = edgevid.export(network, output=tmp_path / "b", stream=True, **options)
    assert bundle.manifest.states
    assert bundle.manifest.parity.local_error <= LOCAL_TOLERANCE
    session = edgevid.open(bundle.path)
    clip, _ = parity.load(bundle.path)
    first, second = session.stream(), session.stream()
    first.push(clip[:, 0] + 1)
    assert not np.array_equal(*(s.push(clip[:, 1])["logits"] for s in (first, second)))


def test_a_device_that_was_not_at_hand_is_named(tmp_path, videos):
    options = {"backend": "onnxruntime", "precision": "int8", "calibration": videos, "frames": 2, "size": 32}
    bundle = edgevid.export(Shifted(), "jetson", tmp_path / "b", **options)
    assert bundle.manifest.not_run == (
        "ONNX Runtime on a device of target jetson (what was checked ran here)",
    )


def test_a_wrong_range_is_refused_and_nothing_is_written(tmp_path, videos, monkeypatch):
    from edgevid.exporter import calibration

    def too_wide(*arguments):
        return {name: (50 * low, 50 * high) for name, (low, high) in measure(*arguments).items()}

    measure = calibration.measure_ranges
    monkeypatch.setattr(calibration, "measure_ranges", too_wide)
    with pytest.raises(ParityError, match="calibrate with more videos"):
        edgevid.export(
            Shifted(), output=tmp_path / "b", precision="int8", calibration=videos, frames=2, size=32
        )
    assert not (tmp_path / "b").exists()


def test_the_layer_bound_alone_makes_parity_fail():
    assert Parity(0.0, 0.01, 0.2, local_error=LOCAL_TOLERANCE / 2).ok
    assert not Parity(0.0, 0.01, 0.2, local_error=LOCAL_TOLERANCE * 2).ok


def test_agreement_is_a_share_of_rows():
    expected = {"logits": np.eye(4)}
    assert top1_agreement({"logits": np.eye(4)}, expected) == 1
    assert top1_agreement({"logits": np.eye(4)[[0, 1, 3, 2]]}, expected) == 0.5
    assert top1_agreement({"features": np.eye(4)}, {"features": np.eye(4)}) is None
