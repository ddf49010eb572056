"""Networks of volumes become networks of frames, and what has no form on frames stays, with a reason."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

import edgevid
from edgevid.benchmarks.experiments.networks_3d import official_slowfast
from edgevid.exporter.trace import trace
from edgevid.passes import STANDARD, run_passes

pytestmark = pytest.mark.slow

FRAMES, SIZE = 6, 16


def rewritten(network: nn.Module, clips: int = 2, frames: int = FRAMES, size: int = SIZE, channels: int = 3):
    """The graph of ``network`` after the standard passes, which give the same result, and the report."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    clip = torch.randn(clips, frames, channels, size, size)
    network.eval()
    graph = trace(network, torch.zeros_like(clip))
    reports = {report.name: report for report in run_passes(graph, STANDARD)}
    session = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    output = session.run(None, {"clip": clip.numpy()})[0]
    with torch.no_grad():
        expected = network(clip).numpy()
    assert np.abs(output - expected).max() <= 1e-5 * np.abs(expected).max()
    return graph, reports["volumes_to_frames"]


def ranks(graph: ir.Model, op_type: str) -> set[int]:
    return {len(node.outputs[0].shape) for node in graph.graph if node.op_type == op_type}


def counts(graph: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph)


class Volumes(nn.Module):
    """A little of everything that networks of volumes are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, (5, 3, 3), (1, 2, 2), (2, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(8)
        self.space = nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1), groups=2)
        self.time = nn.Conv3d(8, 8, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1))
        self.late = nn.BatchNorm3d(8)
        self.both = nn.Conv3d(16, 12, 3, (2, 1, 1), 1)
        self.classifier = nn.Linear(12, 5)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        volume = clip.transpose(1, 2)
        x = functional.max_pool3d(torch.relu(self.norm(self.stem(volume))), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        y = functional.leaky_relu(self.space(x), 0.1)
        y = self.late(x + self.time(y) * torch.sigmoid(y)) * self.late.weight.view(1, -1, 1, 1, 1)
        y = torch.cat([functional.hardtanh(y), functional.avg_pool3d(x, (1, 3, 3), 1, (0, 1, 1))], 1)
        y = functional.max_pool3d(self.both(y[:, :, 1:5]), (2, 2, 2))
        return self.classifier(functional.adaptive_avg_pool3d(y, 1).flatten(1))


@pytest.mark.parametrize("clips", [1, 2])
def test_a_3d_network_becomes_a_2d_network(clips):
    graph, report = rewritten(Volumes(), clips)
    assert report.matched == 4
    assert not report.refused
    operators = counts(graph)
    assert operators["Conv"] == 4
    assert operators["FrameStack"] == 3  # none for the convolution of each frame by itself
    for op_type in ("Conv", "MaxPool", "AveragePool", "Relu", "Concat", "BatchNormalization"):
        assert ranks(graph, op_type) == {4}, op_type
    # Nothing is transposed but the means of pixels, at the end: the clip's own transposition is gone.
    transposed = [node.outputs[0].shape.numpy() for node in graph.graph if node.op_type == "Transpose"]
    assert transposed == [(clips, 12, 1, 1, 1)]
    assert (
        operators["BatchNormalization"] == 1
    )  # the other one is folded, as behind any convolution of frames


class Head(nn.Module):
    """A layer of volumes between two transpositions of clips, which is how networks of frames write it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return (
            self.layer(clip.transpose(1, 2))
            .transpose(1, 2)
            .flatten(0, 1)
            .mean((2, 3))
            .unflatten(0, (clip.shape[0], -1))
            .mean(1)
        )


def test_transpositions_on_both_sides_cancel():
    graph, report = rewritten(Head(nn.Conv3d(3, 4, 3, padding=1)))
    assert report.matched == 1
    assert "Transpose" not in counts(graph)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.Conv3d(3, 4, (3, 3, 3), padding=(0, 1, 1)), "6 frames become 4"),
        (nn.Conv3d(3, 4, (4, 1, 1), (4, 1, 1)), "6 frames become 1"),
    ],
)
def test_near_misses_stay_and_are_reported(layer, reason):
    graph, report = rewritten(Head(layer))
    assert report.matched == 0
    assert len(report.refused) == 1
    assert reason in report.refused[0]
    assert ranks(graph, "Conv") == {5}
    assert counts(graph)["Transpose"] == 2


def test_convolutions_with_computed_weights_stay():
    class Computed(nn.Module):
        def forward(self, volume):
            return functional.conv3d(volume, volume.mean((0, 2, 3, 4)).view(1, 3, 1, 1, 1))

    graph, report = rewritten(Head(Computed()))
    assert "weights are computed" in report.refused[0]
    assert ranks(graph, "Conv") == {5}


def test_an_asymmetric_padding_that_keeps_the_frames_is_a_stack_that_starts_there():
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv3d(3, 4, (3, 1, 1), padding=(1, 0, 0))

        def forward(self, volume):
            return functional.relu(self.conv(volume))

    graph, _ = rewritten(Head(Causal()))
    (stack,) = [node for node in graph.graph if node.op_type == "FrameStack"]
    assert stack.attributes["first"].as_int() == -1


def test_an_unconvertible_operator_reads_a_volume_and_is_reported():
    class Mixed(nn.Module):
        """A pool of overlapping windows over time, between convolutions that have a form."""

        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv3d(3, 4, 3, padding=1), nn.Conv3d(4, 4, 3, padding=1)

        def forward(self, volume):
            return self.second(functional.max_pool3d(self.first(volume), (3, 1, 1), (1, 1, 1), (1, 0, 0)))

    graph, report = rewritten(Head(Mixed()))
    assert report.matched == 2
    assert "overlap" in report.refused[0]
    assert ranks(graph, "Conv") == {4}
    assert ranks(graph, "MaxPool") == {5}
    assert counts(graph)["Transpose"] == 2  # to the pool, and back


def test_a_graph_with_few_convertible_convolutions_does_not_change():
    layers = nn.Sequential(nn.Conv3d(3, 6, 3), nn.Conv3d(6, 6, 1), nn.Conv3d(6, 6, (3, 1, 1)))
    graph, report = rewritten(Head(layers))
    assert report.matched == 0
    assert len(report.refused) == 2
    assert ranks(graph, "Conv") == {5}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [2, 4])
def test_groups_are_convolved_tap_by_tap(groups, stride):
    """A stack would tear the groups apart; X3D and CSN convolve single channels so."""
    graph, report = rewritten(Head(nn.Conv3d(4, 8, 3, (stride, 2, 2), 1, groups=groups)), channels=4)
    assert report.matched == 1
    operators = counts(graph)
    assert (operators["Conv"], operators["Add"]) == (3, 2)
    assert operators["FrameStack"] == (2 if stride == 1 else 3)  # the frame itself needs none
    assert ranks(graph, "Conv") == {4}


@pytest.mark.parametrize(
    ("taps", "dilation", "op_types"),
    [(5, 1, {"TemporalConv"}), (3, 2, {"FrameStack", "Add"})],
)
def test_channel_wise_filters_over_time_are_a_temporal_convolution(taps, dilation, op_types):
    reach = taps // 2 * dilation
    layer = nn.Conv3d(4, 4, (taps, 1, 1), padding=(reach, 0, 0), dilation=(dilation, 1, 1), groups=4)
    graph, report = rewritten(Head(nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.ReLU(), layer, nn.ReLU())))
    assert report.matched == 2
    assert op_types <= set(counts(graph))
    assert ("TemporalConv" in op_types) == ("TemporalConv" in counts(graph))


def test_2d_networks_do_not_change():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, clip):
            return self.conv(clip.flatten(0, 1)).mean((2, 3))

    _, report = rewritten(Plain())
    assert (report.matched, report.refused) == (0, ())


def test_a_foreign_slowfast_is_converted_like_that_of_the_zoo():
    ours = edgevid.create_model("slowfast_r50_8x8", num_classes=5, frames=8).eval()
    graph, report = rewritten(official_slowfast(ours), clips=1, frames=8, size=32)
    assert report.matched == 110
    assert not report.refused
    assert counts(graph)["FrameStack"] == 30
    assert ranks(graph, "Conv") == {4}
