"""A model file with free dimensions takes clips of any number, length and size; a fixed number is refused."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import edgevid
from edgevid.errors import EdgevidError, ExportError
from edgevid.exporter.dynamic import MODEL
from edgevid.zoo import MODELS
from edgevid.zoo.layers.frame_stack import SpatiotemporalConv
from edgevid.zoo.layers.motion import temporal_difference
from edgevid.zoo.layers.pair_max import PairMax
from edgevid.zoo.layers.running_mean import running_mean
from edgevid.zoo.layers.shift import TemporalShift
from edgevid.zoo.layers.temporal_conv import TemporalConv
from edgevid.zoo.layers.temporal_pool import TemporalPool
from edgevid.zoo.resnet3d.network import WindowMean
from edgevid.zoo.slowfast.network import slow_frames

pytestmark = pytest.mark.slow


class TemporalOps(nn.Module):
    """Each op that knows how many frames a clip has, and each layer that changes their number."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.shift = (
            nn.Conv2d(3, 8, 3, 2),
            nn.BatchNorm2d(8),
            TemporalShift("bidirectional"),
        )
        self.over_time = nn.ModuleList(TemporalConv(8, bias=bias) for bias in (False, True))
        self.stacks = nn.ModuleList(
            SpatiotemporalConv(8, 8, (3, 1, 1), (stride, 1, 1), causal=causal)
            for stride, causal in ((1, True), (2, False), (3, False))
        )
        self.pools, self.mean = nn.ModuleList([TemporalPool(), PairMax()]), WindowMean(3)
        self.layer = nn.Linear(8, 4)
        nn.init.uniform_(self.norm.running_mean)

    def forward(self, clip):
        frames = clip.shape[1]
        x = torch.relu(self.norm(self.conv(clip.flatten(0, 1))))
        x = temporal_difference(self.shift(x, frames), x, frames, False)
        for convolve in self.over_time:
            x = convolve(x, frames)
        slow = x.unflatten(0, (-1, frames)).index_select(1, slow_frames(frames, 2)).flatten(0, 1)
        x = running_mean(self.stacks[0](x, frames), frames)
        x, frames = self.pools[0](x, frames) + slow, self.pools[0].frames_out(frames)
        x = self.pools[1](self.stacks[1](x, frames), self.stacks[1].frames_out(frames))
        return self.layer(self.mean(x)).unflatten(0, (clip.shape[0], -1)).mean(1)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, clip):
        return self.layer(clip.mean((1, 3, 4)))


class OneClip(Mean):
    """Takes whatever it gets for one clip of 4 frames."""

    def forward(self, clip):
        return super().forward(clip.reshape(1, 4, *clip.shape[2:]))


class Placed(Mean):
    """Has a weight for each of 4 frames."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, clip):
        return super().forward(clip * self.weight[:, None, None, None])


class Threshold(Mean):
    """Computes something else of 9 frames and more, which 4, 5 and 7 do not show."""

    def forward(self, clip):
        return super().forward(clip if clip.shape[1] < 7 else -clip)


class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        self.classify = nn.Linear(3 * 16 * 16, 4)

    def forward(self, clip):
        return self.classify(clip.mean(1).flatten(1))


class Pairs(Mean):
    """Takes an even number of frames."""

    def forward(self, clip):
        return super().forward(clip.unflatten(1, (clip.shape[1] // 2, 2)).amax(2))


class Inside(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, clip):
        return self.block(clip)


def exported(network, folder, **options):
    torch.manual_seed(0)
    network = network.eval() if isinstance(network, nn.Module) else network
    return edgevid.export(network, output=folder, **{"frames": 4, "size": 16, **options})


def clips(batch, frames, height=16, width=16):
    return np.random.default_rng(0).standard_normal((batch, frames, 3, height, width), np.float32)


def open_file(bundle):
    return onnxruntime.InferenceSession(str(bundle.path / MODEL), providers=["CPUExecutionProvider"])


def same(session, network, inputs):
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(session.run(None, {"clip": inputs})[0], expected, rtol=1e-4, atol=1e-5)


def purpose(bundle):
    return next(artefact.purpose for artefact in bundle.manifest.artefacts if artefact.file == MODEL)


@pytest.fixture(scope="module")
def temporal_ops(tmp_path_factory):
    network = TemporalOps()
    options = {"dynamic_batch": True, "dynamic_frames": True, "dynamic_size": True}
    return network, exported(network, tmp_path_factory.mktemp("dynamic") / "bundle", frames=16, **options)


def test_clips_of_any_number_length_and_size_run_through_every_temporal_op(temporal_ops):
    network, bundle = temporal_ops
    session = open_file(bundle)
    for shape in ((1, 16, 16, 16), (1, 8, 16, 16), (2, 5, 16, 16), (1, 6, 9, 15), (5, 13, 32, 21)):
        same(session, network, clips(*shape))
    numbers = "any number of clips and any number of frames and any number of pixels of height and width"
    assert numbers in purpose(bundle)
    assert session.get_inputs()[0].shape == ["batch", "frames", 3, "height", "width"]


def test_the_comparison_tells_another_network(temporal_ops):
    network, bundle = temporal_ops
    other = copy.deepcopy(network)
    nn.init.zeros_(other.over_time[1].bias)
    nn.init.ones_(other.over_time[1].weight)
    with pytest.raises(AssertionError):
        same(open_file(bundle), other, clips(2, 5))


def test_the_file_holds_nothing_that_is_not_read_and_opens_in_silence(temporal_ops, capfd):
    _, bundle = temporal_ops
    open_file(bundle)
    assert capfd.readouterr().err == ""
    graph = onnx.load(bundle.path / MODEL).graph
    read = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert {node.domain for node in graph.node} == {""}


def test_a_session_takes_any_number_of_clips(temporal_ops):
    network, bundle = temporal_ops
    with torch.no_grad():
        expected = network(torch.from_numpy(clips(3, 16))).numpy()
    result = edgevid.open(bundle.path).run(clips(3, 16))["logits"]
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_a_number_that_becomes_one_inside_is_traced_again_at_twice_it(tmp_path):
    """Torch takes a dimension of 1 for fixed, as two frames are after ``Pairs``."""
    bundle = exported(Pairs(), tmp_path / "bundle", frames=2, dynamic_frames=True)
    assert "any multiple of 2 frames" in purpose(bundle)


def test_a_network_that_takes_every_second_number_says_so(tmp_path):
    network = Pairs()
    bundle = exported(network, tmp_path / "bundle", dynamic_frames=True)
    assert "any multiple of 2 frames" in purpose(bundle)
    for frames in (2, 6, 10):
        same(open_file(bundle), network, clips(1, frames))


@pytest.mark.parametrize(
    ("network", "option", "layer"),
    [
        (OneClip(), "batch", "its layer 'block' (OneClip, test_dynamic.py:"),
        (Placed(), "frames", "its layer 'block' (Placed"),
        (Threshold(), "frames", "its layer 'block' (Threshold, test_dynamic.py:"),
        (Pixels(), "size", "its layer 'block.classify' (Linear"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value)[:6],
)
def test_a_fixed_number_is_refused_with_its_layer(tmp_path, network, option, layer):
    with pytest.raises(ExportError) as refusal:
        exported(Inside(network), tmp_path / "bundle", **{f"dynamic_{option}": True})
    assert f"Inside does not support --dynamic-{option}: {layer}" in str(refusal.value)
    assert f"Leave out --dynamic-{option}" in str(refusal.value)
    assert not (tmp_path / "bundle").exists()


def input_of_export(run_edgevid, folder, *arguments):
    assert run_edgevid("export", *arguments, "-o", folder).status == 0
    return open_file(edgevid.Bundle.open(folder)).get_inputs()[0].shape


def test_the_command_takes_each_option(tmp_path, run_edgevid):
    own = ["tiny_network:Shifted", "--frames", 4, "--size", 16]
    shape = input_of_export(run_edgevid, tmp_path / "clips", *own, "--dynamic-batch", "--dynamic-frames")
    assert shape == ["batch", "frames", 3, 16, 16]
    shape = input_of_export(run_edgevid, tmp_path / "sizes", *own, "--dynamic-size")
    assert shape == [1, 4, 3, "height", "width"]


def test_images_have_free_sizes_too(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    network.edgevid_spec = MODELS["mobilenet_v1"]
    session = open_file(exported(network, tmp_path / "bundle", frames=None, dynamic_size=True))
    assert session.get_inputs()[0].shape == [1, 3, "height", "width"]


def test_a_stream_and_tensorrt_take_no_free_dimensions(tmp_path):
    with pytest.raises(EdgevidError, match="leave out --dynamic-batch"):
        edgevid.export("tsm_mbv2_online", output=tmp_path / "a", stream=True, dynamic_batch=True)
    with pytest.raises(EdgevidError, match="leave out --dynamic-frames"):
        edgevid.export("tsn_mbv2", "jetson", tmp_path / "a", dynamic_frames=True)
