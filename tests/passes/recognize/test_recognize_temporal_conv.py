"""A learned channel-wise convolution over time becomes one node; convolutions that resemble one stay."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from test_recognize_temporal_shift import convolved, one_hot_filters
from torch import nn
from torch.nn import functional

import edgevid
from edgevid import ops
from edgevid.exporter.trace import trace
from edgevid.ops import temporal_conv
from edgevid.passes import LOWERING, STANDARD, run_passes
from edgevid.passes.fold_constants import fold_constants
from edgevid.passes.recognize.temporal_conv import recognize_temporal_conv

pytestmark = pytest.mark.slow

CHANNELS, CLIPS, FRAMES, HEIGHT, WIDTH = 8, 2, 4, 6, 5
SHAPE = (CLIPS, FRAMES, CHANNELS, HEIGHT, WIDTH)


def of_lines(x, conv):
    """As in ACTION-Net: ``(n*h*w, c, t)`` by one permute of five axes, and back."""
    return of_clip(x, conv).reshape(x.shape)


def of_clip(x, conv):
    n, (_, c, h, w) = x.shape[0] // FRAMES, x.shape
    x = x.view(n, FRAMES, c, h, w).permute(0, 3, 4, 2, 1).contiguous().view(n * h * w, c, FRAMES)
    return conv(x).view(n, h, w, c, FRAMES).permute(0, 4, 3, 1, 2).contiguous()


def of_lines_by_pixels(x, conv):
    """As in STM: pixels in one axis, by transpositions."""
    n, (_, c, h, w) = x.shape[0] // FRAMES, x.shape
    x = x.reshape(n, FRAMES, c, h * w).permute(0, 3, 2, 1).reshape(-1, c, FRAMES)
    return (
        conv(x).reshape(n, h * w, c, FRAMES).transpose(1, 3).reshape(x.shape[0] // h // w * FRAMES, c, h, w)
    )


def of_columns(x, conv):
    """A Conv2d of k x 1 on ``(n, c, t, h*w)``."""
    x4 = x.unflatten(0, (-1, FRAMES)).transpose(1, 2).flatten(3)
    y = functional.conv2d(x4, conv.weight[..., None], conv.bias, padding=(1, 0), groups=CHANNELS)
    return y.transpose(1, 2).reshape(x.shape)


def of_volumes(x, conv):
    """A Conv3d of k x 1 x 1 on ``(n, c, t, h, w)``."""
    x5 = x.unflatten(0, (-1, FRAMES)).transpose(1, 2)
    y = functional.conv3d(x5, conv.weight[..., None, None], conv.bias, padding=(1, 0, 0), groups=CHANNELS)
    return y.transpose(1, 2).flatten(0, 1)


def of_channels_last(x, conv):
    """The source itself was permuted before."""
    return of_lines(torch.tanh(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), conv)


def of_permuted_clip(x, conv):
    """The source has five axes."""
    return of_lines(torch.tanh(x.unflatten(0, (-1, FRAMES))).flatten(0, 1), conv)


def read_twice(x, conv):
    """As ACTION-Net's gates read it: with five axes, and with four."""
    y = of_clip(x, conv)
    return y.reshape(x.shape) * torch.sigmoid(y.mean(2, keepdim=True)).flatten(0, 1)


FORMS = (
    of_lines, of_lines_by_pixels, of_columns, of_volumes, of_channels_last, of_permuted_clip, read_twice,
)  # fmt: skip


class Block(nn.Module):
    """``form(relu(stem(x)))``, read by a 1x1 convolution, in frames of a clip ``SHAPE``."""

    def __init__(self, form, conv):
        super().__init__()
        self.stem, self.head = nn.Conv2d(CHANNELS, CHANNELS, 1), nn.Conv2d(CHANNELS, 3, 1)
        self.form, self.conv = form, conv

    def forward(self, clip):
        y = self.head(self.form(torch.relu(self.stem(clip.flatten(0, 1))), self.conv))
        return y.mean((2, 3)).unflatten(0, (CLIPS, -1)).mean(1)


def conv1d(taps=3, groups=CHANNELS, **options):
    options = {"padding": taps // 2, "bias": False, **options}
    return nn.Conv1d(CHANNELS, CHANNELS, taps, groups=groups, **options)


def rewritten(form, conv, passes=STANDARD):
    """The graph and the report, after checking that the graph computes what the network does."""
    torch.manual_seed(0)
    network, clip = Block(form, conv).eval(), torch.randn(SHAPE)
    graph = trace(network, clip)
    reports = {report.name: report for report in run_passes(graph, passes)}
    result = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString()).run(
        None, {"clip": clip.numpy()}
    )
    with torch.no_grad():
        expected = network(clip).numpy()
    assert np.abs(result[0] - expected).max() <= 1e-6 * np.abs(expected).max()
    return graph, reports["recognise_temporal_conv"]


def convolutions(graph):
    return [temporal_conv.from_node(node) for node in graph.graph if node.domain == ops.DOMAIN]


def operators(graph):
    return [node.op_type for node in graph.graph]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [False, True])
def test_each_form_becomes_one_node(form, bias):
    graph, report = rewritten(form, conv1d(bias=bias))
    weight, offset = (CHANNELS, 3), (CHANNELS,) if bias else None
    assert convolutions(graph) == [temporal_conv.Filters(FRAMES, False, weight, offset)]
    assert (report.matched, report.refused) == (1, ())
    assert operators(graph).count("Transpose") == (2 if form is of_channels_last else 0)
    assert operators(graph).count("Conv") == 2


@pytest.mark.parametrize("taps", [5, 7])
def test_longer_filters_are_recognized_even_beyond_the_clip(taps):
    graph, _ = rewritten(of_lines, conv1d(taps))
    assert convolutions(graph) == [temporal_conv.Filters(FRAMES, False, (CHANNELS, taps))]


def test_padding_only_in_front_is_causal():
    def padded(x, conv):
        return of_lines(x, lambda lines: conv(functional.pad(lines, (2, 0))))

    graph, _ = rewritten(padded, conv1d(padding=0))
    assert convolutions(graph) == [temporal_conv.Filters(FRAMES, True, (CHANNELS, 3))]


def test_two_in_a_row_become_two_nodes():
    graph, report = rewritten(lambda x, conv: of_columns(of_lines(x, conv), conv), conv1d())
    assert report.matched == len(convolutions(graph)) == 2
    assert "Transpose" not in operators(graph)


def test_filters_with_a_single_one_are_shifts_already():
    def shift(x, conv):
        return convolved(x, FRAMES, 2, conv.weight)

    conv = conv1d()
    conv.weight = nn.Parameter(one_hot_filters(CHANNELS, 2))
    graph, report = rewritten(shift, conv)
    assert [node.op_type for node in graph.graph if node.domain == ops.DOMAIN] == ["TemporalShift"]
    assert (report.matched, report.refused) == (0, ())


def test_it_can_be_lowered_again():
    graph, _ = rewritten(of_lines, conv1d(bias=True), (*STANDARD, *LOWERING))
    assert not convolutions(graph)
    assert "Transpose" not in operators(graph)


def along_height(x, conv):
    lines = x.permute(0, 3, 1, 2).reshape(-1, CHANNELS, HEIGHT)
    return conv(lines).view(-1, WIDTH, CHANNELS, HEIGHT).permute(0, 2, 3, 1)


def along_channels(x, conv):
    lines = x.unflatten(0, (-1, FRAMES)).permute(0, 3, 4, 1, 2).reshape(-1, FRAMES, CHANNELS)
    lines = functional.conv1d(lines, conv.weight[:FRAMES], padding=1, groups=FRAMES)
    return lines.view(CLIPS, HEIGHT, WIDTH, FRAMES, CHANNELS).permute(0, 3, 4, 1, 2).flatten(0, 1)


def cropped(x, conv):
    return of_lines(x, lambda lines: conv(lines)[..., : lines.shape[-1]])


def channels_reversed(x, conv):
    """The filters stand in the order of the channels after a reshuffle, which is undone behind them."""

    def reshuffled(lines):
        pairs = lines.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
        return conv(pairs).unflatten(1, (-1, 2)).transpose(1, 2).flatten(1, 2)

    return of_lines(x, reshuffled)


def left_permuted(x, conv):
    """Columns and rows change places on the way back."""
    lines = x.unflatten(0, (-1, FRAMES)).permute(0, 3, 4, 2, 1).reshape(-1, CHANNELS, FRAMES)
    y = conv(lines).view(CLIPS, HEIGHT, WIDTH, CHANNELS, FRAMES)
    return torch.tanh(y.permute(0, 4, 3, 2, 1)).flatten(0, 1)


NEAR_MISSES = {
    "it has dilations other than 1": (of_lines, conv1d(dilation=2, padding=2)),
    "it has strides other than 1": (
        lambda x, conv: of_lines(x, lambda lines: conv(lines).repeat(1, 1, 2)), conv1d(stride=2),
    ),
    "it mixes channels: 1 groups for 8 channels": (of_lines, conv1d(groups=1)),
    "it mixes channels: 4 groups for 8 channels": (of_lines, conv1d(groups=4)),
    "its padding is not that of 3 taps": (cropped, conv1d(padding=2)),
    "it has 4 taps, an even number": (cropped, conv1d(4)),
    "along another axis than time": (along_height, conv1d()),
    "another axis than time": (along_channels, conv1d()),
    "not in channel order": (channels_reversed, conv1d()),
    "does not have the layout of its input frames": (left_permuted, conv1d()),
}  # fmt: skip


@pytest.mark.parametrize("reason", NEAR_MISSES)
def test_a_near_miss_stays_and_is_reported(reason):
    graph, report = rewritten(*NEAR_MISSES[reason])
    assert not convolutions(graph)
    assert "Transpose" in operators(graph)
    assert report.matched == 0
    assert len(report.refused) == 1
    assert reason in report.refused[0]


@pytest.mark.parametrize("form", [of_lines, of_volumes])
def test_a_large_feature_map_costs_no_more_than_a_small_one(form):
    graph = trace(Block(form, conv1d()).eval(), torch.zeros(2, FRAMES, CHANNELS, 128, 128))
    run_passes(graph, (fold_constants,))
    tracemalloc.start()
    report = recognize_temporal_conv(graph)
    peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert report.matched == 1
    assert peak_mib < 1, "the feature map itself has 4 MiB"


def test_an_ordinary_depthwise_convolution_is_not_reported():
    def ordinary(x, conv):
        return functional.conv2d(x, conv.weight[..., None], padding=(1, 0), groups=CHANNELS)

    graph, report = rewritten(ordinary, conv1d())
    assert (report.matched, report.refused) == (0, ())
    assert not convolutions(graph)


class HandWritten(nn.Module):
    """A network of ACTION-Net's first step, for three colors."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS, 3, 2, padding=1)
        self.conv, self.head = conv1d(), nn.Linear(CHANNELS, 5)

    def forward(self, clip):
        x = of_lines(torch.relu(self.stem(clip.flatten(0, 1))), self.conv)
        return self.head(x.mean((2, 3))).unflatten(0, clip.shape[:2]).mean(1)


def test_an_exported_network_has_the_node(tmp_path):
    bundle = edgevid.export(HandWritten(), "cpu", tmp_path / "cpu", frames=FRAMES, size=16)
    assert bundle.manifest.parity.ok
    assert bundle.manifest.kernels == ("TemporalConv (portable function) x1",)
