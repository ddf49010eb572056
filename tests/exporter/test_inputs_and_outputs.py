"""Networks that take something else than a colour clip, or give something else than logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import edgevid
from edgevid.errors import EdgevidError
from edgevid.session import Session
from edgevid.specs import ModelSpec
from edgevid.zoo import MODELS
from edgevid.zoo.layers.shift import TemporalShift

pytestmark = pytest.mark.slow

SIZE = 32


class Pyramid(nn.Module):
    """Two feature maps of each frame of optical flow, the second one shifted from the past."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(10, 8, 3, 2, padding=1)
        self.shift = TemporalShift("causal")
        self.coarse = nn.Conv2d(8, 6, 3, 2, padding=1)

    def forward(self, clip):
        fine = self.fine(clip.flatten(0, 1))
        return {"fine": fine, "coarse": self.coarse(self.shift(fine, clip.shape[1]))}


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2)
        self.classifier = nn.Linear(8, 5)

    def forward(self, image):
        return self.classifier(self.conv(image).mean((2, 3)))


def described(network: nn.Module, **fields) -> nn.Module:
    network.edgevid_spec = ModelSpec("own", "a network", "", "this test", size=SIZE, **fields)
    return network


@pytest.fixture(scope="module")
def image_bundle(tmp_path_factory):
    network = described(Images(), input="image")
    return edgevid.export(network, output=tmp_path_factory.mktemp("image") / "image")


@pytest.fixture(scope="module")
def pyramid():
    torch.manual_seed(0)
    return described(Pyramid(), channels=10, classes=0, causal=True, frames=4)


@pytest.fixture(scope="module")
def pyramid_bundle(tmp_path_factory, pyramid):
    return edgevid.export(pyramid, output=tmp_path_factory.mktemp("pyramid") / "pyramid")


def test_an_image_network_runs_on_images(image_bundle):
    (image,) = image_bundle.manifest.inputs
    assert (image.name, image.shape, image.layout) == ("image", (1, 3, SIZE, SIZE), "NCHW")
    session = edgevid.open(image_bundle.path)
    assert session.run(np.zeros((2, 3, SIZE, SIZE), np.float32))["logits"].shape == (2, 5)
    with pytest.raises(EdgevidError, match=r"takes \(N, 3, 32, 32\)"):
        session.run(np.zeros((1, 8, 3, SIZE, SIZE), np.float32))


def test_an_image_counts_as_one_frame(image_bundle):
    assert image_bundle.manifest.frames == 1


def test_an_image_network_has_no_frames_to_set_and_no_stream(tmp_path):
    network = described(Images(), input="image", causal=True)
    with pytest.raises(EdgevidError, match="leave out --frames"):
        edgevid.export(network, output=tmp_path / "a", frames=8)
    with pytest.raises(EdgevidError, match="leave out --stream"):
        edgevid.export(network, output=tmp_path / "a", stream=True)


def test_outputs_keep_their_names_shapes_and_units(pyramid, pyramid_bundle):
    outputs = {output.name: output for output in pyramid_bundle.manifest.outputs}
    assert {name: output.shape for name, output in outputs.items()} == {
        "fine": (4, 8, 16, 16),
        "coarse": (4, 6, 8, 8),
    }
    assert {output.unit for output in outputs.values()} == {"feature"}
    assert pyramid_bundle.manifest.classes == 0
    clip = np.random.default_rng(1).standard_normal((1, 4, 10, SIZE, SIZE), np.float32)
    with torch.no_grad():
        expected = pyramid.eval()(torch.from_numpy(clip))
    result = edgevid.open(pyramid_bundle.path).run(clip)
    for name, tensor in expected.items():
        np.testing.assert_allclose(result[name], tensor, atol=1e-5)


def test_parity_is_over_every_output(pyramid_bundle, tmp_path):
    from edgevid import parity

    _, expected = parity.load(pyramid_bundle.path)
    artefact = pyramid_bundle.manifest.artefacts[0]
    assert Session(pyramid_bundle, artefact=artefact, with_kernels=False).check().ok
    assert not parity.compare({**expected, "coarse": expected["coarse"] * 1.01}, expected, 1e-4).ok
    assert not parity.compare({"fine": expected["fine"]}, expected, 1e-4).ok


def test_named_outputs_stream_frame_by_frame(pyramid, pyramid_bundle, tmp_path):
    bundle = edgevid.export(pyramid, output=tmp_path / "stream", stream=True)
    assert {output.name: output.shape for output in bundle.manifest.outputs} == {
        "fine": (1, 8, 16, 16),
        "coarse": (1, 6, 8, 8),
    }
    clip = np.random.default_rng(1).standard_normal((1, 4, 10, SIZE, SIZE), np.float32)
    whole = edgevid.open(pyramid_bundle.path).run(clip)
    stream = edgevid.open(bundle.path).stream()
    for t in range(4):
        for name, array in stream.push(clip[:, t]).items():
            np.testing.assert_allclose(array[0], whole[name][t], atol=1e-5)


def test_run_says_that_a_bundle_has_no_classes_to_show(refuses, pyramid_bundle, tmp_path):
    words = "is not a classifier (its outputs are fine and coarse)"
    refuses(["run", pyramid_bundle.path, "--video", tmp_path / "x.mp4"], words)


def test_run_says_that_a_bundle_does_not_take_colour(refuses, tmp_path):
    class Flow(Images):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(10, 8, 3, 2)

        def forward(self, clip):
            return super().forward(clip.flatten(0, 1)).mean(0, keepdim=True)

    network = described(Flow(), channels=10)
    edgevid.export(network, output=tmp_path / "flow", frames=2)
    refuses(["run", tmp_path / "flow", "--video", tmp_path / "x.mp4"], "10 channels", "RGB frames")


def test_labels_and_classes_belong_to_logits(pyramid, tmp_path):
    with pytest.raises(EdgevidError, match="leave out --labels"):
        edgevid.export(pyramid, output=tmp_path / "labels", labels="kinetics400")


def test_a_registered_network_without_classifier_takes_no_classes(tmp_path, monkeypatch):
    entry = ModelSpec("pyramid", "Pyramid", f"{__name__}:Pyramid", "this test", classes=0, channels=10)
    monkeypatch.setitem(MODELS._entries, "pyramid", entry)
    with pytest.raises(EdgevidError, match="leave out --classes"):
        edgevid.export("pyramid", output=tmp_path / "classes", classes=5)


class Shaped(nn.Module):
    """Gives ``shape(logits)``, of logits ``(N, T, 6)`` or, of a stream, what ``frame_logits`` would."""

    def __init__(self, shape):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.shape = nn.Conv2d(3, 6, 3, 4), shape

    def forward(self, clip):
        return self.shape(self.conv(clip.flatten(0, 1)).mean((2, 3)).unflatten(0, clip.shape[:2]))


class ShapedStream(Shaped):
    def frame_logits(self, clip):
        return super().forward(clip)

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda x: x.unflatten(1, (-1, 2)).flatten(0, 1).mean(1), "(2, 6), not (1, classes)"),
        (lambda x: x[0], "(4, 6), not (1, classes)"),
        (lambda x: x, "(1, 4, 6), not (1, classes)"),
        (lambda x: x.mean((0, 1)), "(6,), not (1, classes)"),
        (lambda x: x.mean(1)[:0], "(0, 6), not (1, classes)"),
        (lambda x: x.mean(1)[:, :0], "(1, 0), not (1, classes)"),
        (lambda x: {"logits": x[0], "features": x[0]}, "(4, 6), not (1, classes)"),
        (lambda x: {"logits": x}, "(1, 4, 6), not (1, classes)"),
        (lambda x: [x.mean(1), x.mean(1)], "not a list of 2"),
        (lambda x: None, "not a NoneType"),
    ],
)
def test_logits_of_one_clip_have_one_row(shape, words, tmp_path):
    with pytest.raises(EdgevidError, match="must return logits") as error:
        edgevid.export(described(Shaped(shape)), output=tmp_path / "a", frames=4)
    assert words in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda x: x[:, :2], "(1, 2, 6) and not (1, 4, classes)"),
        (lambda x: x.unflatten(1, (-1, 2)).flatten(0, 1), "(2, 2, 6), not (1, 4, classes)"),
        (lambda x: x[0], "(4, 6), not (1, 4, classes)"),
        (lambda x: {"logits": x[0, :2]}, "a row for each frame, (N*T, ...): 4, not 2"),
        (lambda x: {"logits": x[0].unflatten(1, (2, 3))}, "(4, 2, 3), not (4, classes)"),
        (lambda x: {"features": x.mean()}, "a row for each frame, (N*T, ...): 4, not a single number"),
    ],
)
def test_logits_of_a_stream_have_a_row_for_each_frame(shape, words, tmp_path):
    network = described(ShapedStream(shape), causal=True)
    with pytest.raises(EdgevidError) as error:
        edgevid.export(network, output=tmp_path / "a", frames=4, stream=True)
    assert words in str(error.value)


def test_named_outputs_that_are_no_logits_may_have_any_rows(tmp_path):
    network = described(Shaped(lambda x: {"logits": x.mean(1), "of_frames": x[0]}))
    outputs = edgevid.export(network, output=tmp_path / "a", frames=4).manifest.outputs
    assert {output.name: output.shape for output in outputs} == {"logits": (1, 6), "of_frames": (4, 6)}


def test_a_network_that_gives_no_numbers_is_refused_by_the_name_of_the_output(tmp_path):
    network = described(Shaped(lambda x: {"logits": x.mean(1), "of_frames": x[0].log()}))
    with pytest.raises(EdgevidError, match="returns NaN or infinity in its output 'of_frames'"):
        edgevid.export(network, output=tmp_path / "a", frames=4)
