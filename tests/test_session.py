"""A session runs clips and streams; what does not fit is refused in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import edgevid
from edgevid import parity
from edgevid.backends.onnxruntime.specialize import cache as ort_cache
from edgevid.bundle import bundle
from edgevid.errors import BackendError, BundleError, EdgevidError
from edgevid.host.digest import sha256_of
from edgevid.specs import Artefact


@pytest.fixture(scope="module")
def clip_session(clip_bundle):
    return edgevid.open(clip_bundle.path, threads=1)


@pytest.fixture(scope="module")
def stream_session(stream_bundle):
    return edgevid.open(stream_bundle.path)


def clips(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 4, 3, 64, 64), dtype=np.float32)


@pytest.fixture(scope="module")
def eager():
    """The network that ``clip_bundle`` was made of."""
    torch.manual_seed(0)
    network = edgevid.create_model("tsm_mbv2", num_classes=5, frames=4).eval()
    return lambda clip: network(torch.from_numpy(clip)).detach().numpy()


def test_a_clip_gives_the_logits_of_pytorch(clip_session, eager):
    result = clip_session.run(clips(1))
    assert list(result) == ["logits"]
    assert result["logits"].shape == (1, 5)
    assert result["logits"].dtype == np.float32
    assert parity.compare(result, {"logits": eager(clips(1))}, 1e-4).ok


def test_any_number_of_clips_can_be_run_at_once(clip_session):
    batch = clips(3)
    together = clip_session.run(batch)["logits"]
    alone = [clip_session.run(batch[i : i + 1])["logits"] for i in range(3)]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("shape", [(1, 5, 3, 64, 64), (4, 3, 64, 64), (0, 4, 3, 64, 64), (1, 4, 3, 32, 64)])
def test_a_clip_of_another_shape_is_refused(clip_session, shape):
    with pytest.raises(EdgevidError, match=r"takes \(N, 4, 3, 64, 64\)"):
        clip_session.run(np.zeros(shape, np.float32))


def test_threads_are_those_asked_for_or_the_cores_at_hand(clip_session, stream_session):
    assert clip_session.threads == 1
    assert stream_session.threads >= 1


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads_are_refused(clip_bundle, threads):
    with pytest.raises(EdgevidError, match="threads must be at least 1"):
        edgevid.open(clip_bundle.path, threads=threads)


def push_all(stream, frames: np.ndarray) -> np.ndarray:
    return np.concatenate([stream.push(frame[None])["logits"] for frame in frames])


def test_pushing_frames_equals_the_causal_clip_network_frame_by_frame(stream_session):
    torch.manual_seed(0)
    network = edgevid.create_model("tsm_mbv2_online", num_classes=5, frames=4).eval()
    clip = np.random.default_rng(5).standard_normal((1, 9, 3, 64, 64), dtype=np.float32)
    with torch.no_grad():
        wanted = network.frame_logits(torch.from_numpy(clip))[0].numpy()
    got = push_all(stream_session.stream(), clip[0])
    assert parity.compare({"y": got}, {"y": wanted}, 1e-5).ok


def test_after_reset_the_same_frames_give_the_same_bits(stream_session):
    frames, stream = clips(1)[0], stream_session.stream()
    first = push_all(stream, frames)
    again_without_reset = push_all(stream, frames)
    stream.reset()
    np.testing.assert_array_equal(push_all(stream, frames), first)
    assert not np.array_equal(again_without_reset, first)


@pytest.mark.parametrize("before", [1, 2, 3])
def test_reset_works_after_any_number_of_frames(stream_session, before):
    frames, stream = clips(1)[0], stream_session.stream()
    first = push_all(stream, frames)
    push_all(stream, frames[:before])
    stream.reset()
    np.testing.assert_array_equal(push_all(stream, frames), first)


def test_two_streams_do_not_share_their_states(stream_session):
    frames = clips(1)[0]
    wanted = push_all(stream_session.stream(), frames)
    one, two = stream_session.stream(), stream_session.stream()
    push_all(two, clips(1, seed=9)[0])
    np.testing.assert_array_equal(push_all(one, frames), wanted)


def test_an_answer_is_not_overwritten_by_the_next_frame(stream_session):
    frames, stream = clips(1)[0], stream_session.stream()
    first = stream.push(frames[:1])["logits"]
    kept = first.copy()
    stream.push(frames[1:2])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (3, 64, 64), (1, 3, 64, 32)])
def test_a_frame_of_another_shape_is_refused(stream_session, shape):
    with pytest.raises(EdgevidError, match="takes"):
        stream_session.stream().push(np.zeros(shape, np.float32))


def test_a_clip_bundle_does_not_stream_and_a_stream_takes_no_clip(clip_session, stream_session):
    with pytest.raises(BundleError, match="takes whole clips"):
        clip_session.stream()
    with pytest.raises(BundleError, match="push frames"):
        stream_session.run(clips(1))


def test_prepare_gives_a_function_that_does_one_inference(clip_session, stream_session, monkeypatch):
    for session in (clip_session, stream_session):
        step = session.prepare()
        assert step() is None
        assert step() is None


def test_a_model_that_onnx_runtime_cannot_open_is_refused_in_words(tmp_path):
    from edgevid.backends import BACKENDS

    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(BackendError, match="cannot open"):
        BACKENDS["onnxruntime"].open_model(Artefact("model.onnx", "fp32", "", "onnxruntime"), tmp_path)


def test_a_bundle_for_another_device_says_what_runs_it_here(jetson_bundle):
    session = edgevid.open(jetson_bundle.path)
    assert session.backend == "onnxruntime"
    assert session.manifest.backend == "tensorrt"


def test_running_needs_neither_torch_nor_onnx(clip_bundle):
    import subprocess
    import sys

    code = (
        "import sys, edgevid, numpy\n"
        "class Block:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name.split('.')[0] in ('torch', 'onnx', 'onnx_ir', 'onnxscript'):\n"
        "            raise ModuleNotFoundError(name, name=name.split('.')[0])\n"
        "sys.meta_path.insert(0, Block())\n"
        f"session = edgevid.open({str(clip_bundle.path)!r})\n"
        "print(session.run(numpy.zeros((1, 4, 3, 64, 64), 'float32'))['logits'].shape)\n"
        "try:\n"
        "    edgevid.export\n"
        "except edgevid.errors.BackendError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines() == [
        "(1, 5)",
        "edgevid.export needs the package 'torch': pip install 'edgevid[export]'",
    ], result.stderr


def test_opening_reads_each_file_of_the_model_once(clip_bundle, monkeypatch):
    """To compare its hash; what is kept of it in the cache is found by the hash that is then known."""
    edgevid.open(clip_bundle.path)
    hashed = []
    for module in (bundle, ort_cache):
        monkeypatch.setattr(module, "sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    edgevid.open(clip_bundle.path)
    for name in ("model.weights", "model.edgevid.onnx"):
        assert hashed.count(clip_bundle.path / name) == 1
