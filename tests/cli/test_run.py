"""``edgevid run`` says what it sees and where the time goes; bad requests are one line and exit status 2."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
from fake_session import CLIP, IMAGE, FakeSession

from edgevid.errors import BundleError
from edgevid.specs import Manifest, Weights
from edgevid.video import camera
from edgevid.video.decode import VideoInfo
from edgevid.video.frame import Frame, Picture
from edgevid.video.geometry import Orientation
from edgevid.video.recognize import decoder_threads
from edgevid.video.stopwatch import Stopwatch


def picture(level: int) -> Picture:
    """A gray picture that has just been captured."""
    image = np.full((48, 64, 3), level, np.uint8)
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    return Picture(frame, 1.0, Orientation(), lambda *_: image, time.monotonic())


@pytest.fixture
def watched(monkeypatch):
    """Put a camera with these frames before the command; after the last it is interrupted as by Ctrl-C."""

    def place(levels_and_times: list[tuple[int, float]], interrupt: bool = True) -> None:
        @contextlib.contextmanager
        def open_camera(number: int, threads: int, watch: Stopwatch):
            def frames():
                for level, time_s in levels_and_times:
                    yield Frame(picture(level), time_s)
                if interrupt:
                    raise KeyboardInterrupt

            yield VideoInfo(f"/dev/video{number}", 64, 48, 30.0, None, None, 0, "rawvideo"), frames()

        monkeypatch.setattr(camera, "open_camera", open_camera)

    return place


def test_a_clip_is_recognized_and_the_time_of_each_part_is_told(run, video):
    status, out, err = run(FakeSession(), "--video", video)
    assert (status, err) == (0, "")
    assert "bright" in out and "fake processed 4 frames of" in out and "30 frames)" in out
    assert out.index("bright") < out.index("dark")
    for part in ("decoding", "preprocessing", "inference", "total", "wall"):
        assert part in out


def test_json_stands_alone_on_stdout(run, video):
    status, out, _ = run(FakeSession(), "--video", video, "--json", "--top", 2)
    result = json.loads(out)
    assert status == 0
    assert (result["bundle"], result["model"], result["frames"]) == ("some.bundle", "fake", 4)
    assert (result["video"]["width"], result["video"]["frames"]) == (64, 30)
    first, second = result["predictions"]
    assert (first["index"], first["label"], second["label"]) == (1, "bright", "dark")
    assert first["probability"] + second["probability"] == pytest.approx(1, abs=1e-4)
    assert first["logit"] > second["logit"]
    time_ms = result["time_ms"]
    stages = time_ms["decoding"] + time_ms["preprocessing"] + time_ms["inference"]
    assert time_ms["total"] == pytest.approx(stages) and stages > 0
    assert result["overlap"] == pytest.approx(time_ms["total"] / time_ms["wall"])
    assert result["preprocessing"] in ("fast", "exact")


def test_exact_preprocessing_is_named_in_the_report(run, video):
    _, out, _ = run(FakeSession(), "--video", video, "--exact-preprocessing", "--json")
    assert json.loads(out)["preprocessing"] == "exact"
    _, out, _ = run(FakeSession(), "--video", video, "--exact-preprocessing")
    assert "preprocessing (exact)" in out


def test_the_network_sees_the_clip_that_its_manifest_describes(run, video):
    session = FakeSession()
    run(session, "--video", video, "--threads", 3)
    assert session.opened == [("some.bundle", 3, "local")]
    (clip,) = session.shown
    assert clip.shape == CLIP
    levels = [2 * level / 255 - 1 for level in (20, 235, 235, 235)]
    assert [float(frame.mean()) for frame in clip[0]] == pytest.approx(levels, abs=0.03)


def test_dense_sampling_can_be_asked_for(run, video):
    session = FakeSession()
    run(session, "--video", video, "--sampling", "dense")
    # 4 frames, 16 apart, that wrap round: 0, 16, 2 and 18; bright begins at 10.
    assert [frame.mean() > 0 for frame in session.shown[0][0]] == [False, True, False, True]


def test_an_image_network_sees_each_frame_and_its_logits_are_averaged(run, video):
    session = FakeSession(shape=IMAGE)
    _, out, _ = run(session, "--video", video, "--json")
    assert [image.shape for image in session.shown] == [(1, 3, 28, 28)] * 4
    logits = [-5 * float(image.mean()) for image in session.shown]
    by_label = {p["label"]: p["logit"] for p in json.loads(out)["predictions"]}
    assert by_label["dark"] == pytest.approx(np.mean(logits), rel=1e-4)


def test_without_labels_the_index_stands_for_the_class(run, video):
    _, out, _ = run(FakeSession(labels=None), "--video", video, "--json")
    assert json.loads(out)["predictions"][0] | {"label": None} == json.loads(out)["predictions"][0]
    assert run(FakeSession(labels=None), "--video", video)[0] == 0


def test_a_stream_tells_when_the_best_class_changes(run, video):
    session = FakeSession(streaming=True)
    status, out, err = run(session, "--video", video)
    assert (status, err) == (0, "")
    dark, bright = out.splitlines()[:2]
    assert dark.split()[:3] == ["0.00", "s", "dark"]
    # 4 frames are averaged, so the change at 1.0 s is seen when bright outweighs dark.
    assert bright.split()[1:3] == ["s", "bright"] and 1.0 <= float(bright.split()[0]) <= 1.3
    assert len(session.shown) == 30
    assert "fake processed 30 frames of" in out and "ms per frame" in out


def test_a_stream_answers_for_the_whole_file_at_the_end(run, video):
    session = FakeSession(streaming=True)
    _, out, _ = run(session, "--video", video, "--json")
    result = json.loads(out)
    assert [c["label"] for c in result["changes"]] == ["dark", "bright"]
    assert set(result["changes"][0]) == {"time_s", "index", "label", "probability", "logit"}
    mean = np.mean([frame.mean() for frame in session.shown])
    assert result["predictions"][0]["logit"] == pytest.approx(5 * mean, rel=1e-4)
    assert result["frames"] == 30
    assert set(result["time_ms_per_frame"]) == set(result["time_ms"])
    assert set(result["time_ms"]) == {"decoding", "preprocessing", "inference", "total", "wall"}
    assert result["time_ms_per_frame"]["wall"] == result["time_ms"]["wall"] / 30
    assert result["overlap"] > 0 and "delay_ms" not in result


@pytest.mark.parametrize("fps,frames", [(5, 15), (10, 30), (20, 60)])
def test_a_stream_can_be_shown_at_another_rate(run, video, fps, frames):
    session = FakeSession(streaming=True)
    _, out, _ = run(session, "--video", video, "--fps", fps, "--json")
    assert json.loads(out)["frames"] == len(session.shown) == frames
    assert float(np.mean([s.mean() > 0 for s in session.shown])) == pytest.approx(2 / 3, abs=0.04)


def test_a_clip_bundle_watches_a_camera_through_a_sliding_window_until_ctrl_c(run, watched):
    # 4 frames in 2 s are 2 frames/s, by default.
    watched([(20 if i < 90 else 235, i / 30) for i in range(181)])
    session = FakeSession()
    status, out, err = run(session, "--camera", 1)
    assert (status, err) == (0, "")
    assert all(clip.shape == CLIP for clip in session.shown)
    assert len(session.shown) == 13 - 3
    assert out.splitlines()[0].split()[:3] == ["1.50", "s", "dark"]
    assert "bright" in out.splitlines()[1]
    assert "/dev/video1" in out
    assert "Wall time includes waiting for the camera." in out
    assert "From the arrival of a frame to its prediction: " in out


def test_a_camera_answers_for_what_it_sees_last(run, watched):
    watched([(235, i / 30) for i in range(60)] + [(20, 2 + i / 30) for i in range(20)])
    _, out, _ = run(FakeSession(streaming=True), "--camera", 0, "--json")
    result = json.loads(out)
    assert result["predictions"][0]["label"] == "dark"
    assert (result["video"]["camera"], result["frames"]) == (0, 80)
    delay = result["delay_ms"]
    assert 0 < delay["p50"] <= delay["p95"] < 60_000 and delay["since"] == "arrival"


def test_a_camera_can_be_stopped_after_a_time(run, watched):
    watched([(235, i / 30) for i in range(300)], interrupt=False)
    _, out, _ = run(FakeSession(streaming=True), "--camera", 0, "--duration", 2, "--json")
    assert json.loads(out)["frames"] == 60


def test_a_camera_stopped_before_the_first_clip_says_so(run, watched):
    watched([(235, 0.0)])
    status, out, err = run(FakeSession(), "--camera", 0)
    assert (status, out) == (2, "")
    assert err.startswith("edgevid: too few frames for a prediction (1)")


def test_random_weights_are_warned_of(run, video, caplog):
    session = FakeSession()
    session.manifest = Manifest(**{**vars(session.manifest), "weights": Weights("seed 0", 10, 40)})
    assert run(session, "--video", video)[0] == 0
    assert "its predictions mean nothing" in caplog.text


@pytest.mark.parametrize(
    "streaming,arguments,what",
    [
        (False, [], "give exactly one of --video FILE and --camera N"),
        (False, ["--video", "a.mp4", "--camera", "0"], "give exactly one of"),
        (False, ["--video", "a.mp4", "--top", "0"], "--top"),
        (False, ["--video", "a.mp4", "--threads", "0"], "--threads"),
        (False, ["--camera", "-1"], "--camera"),
        (False, ["--video", "a.mp4", "--sampling", "all"], "--sampling"),
        (False, ["--video", "a.mp4", "--fps", "5"], "use --sampling for a clip"),
        (True, ["--video", "a.mp4", "--sampling", "dense"], "--sampling needs a clip bundle"),
        (True, ["--video", "a.mp4", "--fps", "0"], "--fps is 0"),
        (True, ["--video", "a.mp4", "--fps", "nan"], "--fps is nan"),
        (True, ["--video", "a.mp4", "--fps", "inf"], "--fps is inf"),
        (True, ["--camera", "0", "--duration", "-1"], "--duration is -1"),
        (True, ["--video", "a.mp4", "--duration", "1"], "--duration needs --camera"),
        (False, ["--video", "missing.mp4"], "no video at 'missing.mp4'"),
        (True, ["--video", "missing.mp4"], "no video at 'missing.mp4'"),
        (False, ["--camera", "97"], "camera 97"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(run, streaming, arguments, what):
    status, out, err = run(FakeSession(streaming=streaming), *arguments)
    assert (status, out) == (2, "")
    assert what in err and err.startswith("edgevid: ") and err.count("\n") == 1


def test_what_is_wrong_with_the_bundle_is_said(run, video, monkeypatch):
    def refuse(self):
        raise BundleError("'some.bundle' has no manifest: export it again")

    monkeypatch.setattr(FakeSession, "manifest", property(refuse, lambda *_: None), raising=False)
    status, _, err = run(FakeSession(), "--video", video)
    assert (status, err) == (2, "edgevid: 'some.bundle' has no manifest: export it again\n")


def test_outputs_that_are_not_classes_are_refused(run, video, monkeypatch):
    monkeypatch.setattr(FakeSession, "run", lambda *_: {"boxes": np.zeros((1, 100, 4), np.float32)})
    status, _, err = run(FakeSession(), "--video", video)
    assert status == 2
    assert "output 'boxes' has shape (1, 100, 4), not (N, classes)" in err


@pytest.mark.parametrize("cores,network,decoder", [(2, 2, 2), (6, 2, 4), (1, 1, 1), (4, 8, 2)])
def test_the_decoder_takes_the_cores_that_the_network_leaves_but_two_to_overlap(
    monkeypatch, cores, network, decoder
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    session = FakeSession()
    session.threads = network
    assert decoder_threads(session) == decoder


def test_help_needs_none_of_the_heavy_packages():
    heavy = {"numpy", "av", "PIL", "torch", "onnxruntime", "tqdm"}
    code = f"import sys, edgevid.cli.run; print(*{heavy} & {{*sys.modules}})"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == ""


@pytest.mark.slow
def test_ctrl_c_ends_a_file_while_it_is_decoded_ahead(video):
    program = os.path.join(os.path.dirname(__file__), "..", "fake_session.py")
    process = subprocess.Popen(
        [sys.executable, program, "run", "stream", "--video", video],
        env={**os.environ, "EDGEVID_TEST_DELAY_S": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None and "dark" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.strip() == "edgevid: interrupted; nothing was changed"
