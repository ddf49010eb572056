"""A shift that is written in ordinary operators, of any kind, becomes one node."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgevid import ops
from edgevid.exporter.trace import trace
from edgevid.ops import temporal_shift
from edgevid.passes import run_passes
from edgevid.passes.fold_batch_norm import fold_batch_norm
from edgevid.passes.fold_constants import fold_constants
from edgevid.passes.recognize.temporal_shift import recognize_temporal_shift
from edgevid.passes.remove_no_ops import remove_no_ops
from edgevid.zoo.create import create_model

pytestmark = pytest.mark.slow

PASSES = (fold_constants, recognize_temporal_shift, fold_batch_norm, remove_no_ops)
COMPUTE = {"Conv", "Relu", "Add", "ReduceMean", "Reshape", "TemporalShift"}
"""What a recognized network consists of; the other operators would be left over from a shift."""


def over_clips(shift):
    """``shift(x, fold)`` of ``(N, T, C, H, W)`` as a function of ``(N*T, C, H, W)``, ``T`` and ``fold``."""

    def of_frames(x, frames, fold):
        return shift(x.unflatten(0, (-1, frames)), fold).reshape(x.shape)

    return of_frames


def later(x, by=1):
    return torch.cat((x[:, by:], torch.zeros_like(x[:, :by])), 1)


def earlier(x, by=1):
    return torch.cat((torch.zeros_like(x[:, :by]), x[:, :-by]), 1)


def channels(*groups):
    return torch.cat(groups, 2)


@over_clips
def slices_into_zeros(x, fold):
    y = torch.zeros_like(x)
    y[:, :-1, :fold] = x[:, 1:, :fold]
    y[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    y[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return y


@over_clips
def slices_in_place(x, fold):
    y = x.clone()
    moved = x.new_zeros(*x.shape[:2], fold, *x.shape[3:])
    moved[:, :-1] = x[:, 1:, :fold]
    y[:, :, :fold] = moved
    moved.zero_()
    moved[:, 1:] = x[:, :-1, fold : 2 * fold]
    y[:, :, fold : 2 * fold] = moved
    return y


def split_and_concat(x, frames, fold):
    x4 = x.reshape(-1, frames, x.shape[1], x.shape[2] * x.shape[3])
    first, second, rest = x4.split([fold, fold, x.shape[1] - 2 * fold], 2)
    return channels(later(first), earlier(second), rest).view(x.shape)


@over_clips
def zeros_by_difference(x, fold):
    first, second = x[:, :, :fold], x[:, :, fold : 2 * fold]
    first = torch.cat((first[:, 1:], (first - first)[:, :1]), 1)
    second = torch.cat(((second - second)[:, :1], second[:, :-1]), 1)
    return channels(first, second, x[:, :, 2 * fold :])


@over_clips
def roll_and_blank(x, fold):
    first, second = x[:, :, :fold].roll(-1, 1), x[:, :, fold : 2 * fold].roll(1, 1)
    first[:, -1], second[:, 0] = 0, 0
    return channels(first, second, x[:, :, 2 * fold :])


def masks(x, fold):
    frame = torch.arange(x.shape[1]).view(1, -1, 1, 1, 1)
    channel = torch.arange(x.shape[2]).view(1, 1, -1, 1, 1)
    first = (channel < fold) & (frame < x.shape[1] - 1)
    second = (channel >= fold) & (channel < 2 * fold) & (frame > 0)
    return first, second, channel >= 2 * fold


@over_clips
def roll_times_mask(x, fold):
    first, second, rest = masks(x, fold)
    return x.roll(-1, 1) * first + x.roll(1, 1) * second + x * rest


@over_clips
def roll_where_mask(x, fold):
    first, second, rest = masks(x, fold)
    moved = torch.where(second, x.roll(1, 1), torch.zeros(()))
    return torch.where(rest, x, torch.where(first, x.roll(-1, 1), moved))


@over_clips
def padded(x, fold):
    wide = functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
    return channels(wide[:, 2:, :fold], wide[:, :-2, fold : 2 * fold], x[:, :, 2 * fold :])


@over_clips
def gathered(x, fold):
    wide = torch.cat((x, torch.zeros_like(x[:, :1])), 1)
    frames = torch.arange(x.shape[1])
    first = wide[:, :, :fold].index_select(1, frames + 1)
    return channels(first, wide[:, :, fold : 2 * fold][:, frames - 1], x[:, :, 2 * fold :])


def one_hot_filters(count, fold):
    filters = torch.zeros(count, 1, 3)
    filters[:fold, 0, 2] = filters[fold : 2 * fold, 0, 0] = filters[2 * fold :, 0, 1] = 1
    return filters


def convolved(x, frames, fold, filters=None, bias=None):
    (_, count, height, width), filters = (
        x.shape,
        one_hot_filters(x.shape[1], fold) if filters is None else filters,
    )
    lines = x.unflatten(0, (-1, frames)).permute(0, 3, 4, 2, 1).reshape(-1, count, frames)
    lines = functional.conv1d(lines, filters, bias, padding=1, groups=count)
    return lines.view(-1, height, width, count, frames).permute(0, 4, 3, 1, 2).reshape(x.shape)


FORMS = (
    slices_into_zeros, slices_in_place, split_and_concat, zeros_by_difference, roll_and_blank,
    roll_times_mask, roll_where_mask, padded, gathered, convolved,
)  # fmt: skip


class Residual(nn.Module):
    """A block ``x + conv(relu(norm(conv(shift(x)))))`` for each shift, on 8 channels."""

    def __init__(self, *shifts, folds=None):
        super().__init__()
        self.stem, self.shifts = nn.Conv2d(3, 8, 3, padding=1), shifts
        self.folds = folds or [2] * len(shifts)
        self.before = nn.ModuleList(nn.Conv2d(8, 6, 1, bias=False) for _ in shifts)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6) for _ in shifts)
        self.after = nn.ModuleList(nn.Conv2d(6, 8, 3, padding=1) for _ in shifts)

    def forward(self, clip):
        frames, x = clip.shape[1], torch.relu(self.stem(clip.flatten(0, 1)))
        for number, (shift, fold) in enumerate(zip(self.shifts, self.folds)):
            moved = self.before[number](shift(x, frames, fold))
            x = x + self.after[number](torch.relu(self.norms[number](moved)))
        return x.mean((2, 3)).unflatten(0, (-1, frames)).mean(1)


def rewritten(network, clips=2, frames=4, size=(6, 5)):
    """The graph and the pass's report, after checking that the graph still computes what the network does."""
    torch.manual_seed(0)
    clip = torch.randn(clips, frames, 3, *size)
    graph = trace(network.eval(), clip)
    report = run_passes(graph, PASSES)[1]
    opened = onnxruntime.InferenceSession(ir.to_proto(graph).SerializeToString())
    with torch.no_grad():
        expected = network(clip).numpy()
    np.testing.assert_allclose(opened.run(None, {"clip": clip.numpy()})[0], expected, rtol=1e-5, atol=1e-6)
    return graph, report


def shifts(graph):
    return [temporal_shift.from_node(node) for node in graph.graph if node.domain == ops.DOMAIN]


def leftovers(graph):
    return {node.op_type for node in graph.graph} - COMPUTE


@pytest.mark.parametrize("form", FORMS)
def test_each_form_becomes_one_node_in_each_residual_block(form):
    graph, report = rewritten(Residual(form, form, form, folds=(1, 2, 4)))
    assert shifts(graph) == [temporal_shift.Shift(4, fold) for fold in (1, 2, 4)]
    assert not leftovers(graph)
    assert report.matched == 3
    assert not report.refused


@pytest.mark.parametrize(("clips", "frames"), [(1, 8), (3, 2), (1, 1), (2, 1)])
def test_the_clip_length_follows_from_the_data_movement(clips, frames):
    graph, _ = rewritten(Residual(*FORMS), clips, frames)
    assert shifts(graph) == [temporal_shift.Shift(frames, 2)] * len(FORMS)
    assert not leftovers(graph)


@pytest.mark.parametrize(
    ("shift", "first", "second", "fold"),
    [
        (lambda x, f: channels(earlier(x[:, :, :f]), x[:, :, f:]), -1, 0, 2),
        (lambda x, f: channels(later(x[:, :, :f]), x[:, :, f:]), 1, 0, 2),
        (lambda x, f: channels(earlier(x[:, :, :f]), later(x[:, :, f:2 * f]), x[:, :, 2 * f:]), -1, 1, 2),
        (lambda x, f: channels(later(x[:, :, :f]), later(x[:, :, f:2 * f]), x[:, :, 2 * f:]), 1, 0, 4),
        (lambda x, f: later(x), 1, 0, 8),
    ],
)  # fmt: skip
def test_every_direction_that_the_op_has_is_recognized(shift, first, second, fold):
    graph, _ = rewritten(Residual(over_clips(shift)))
    assert shifts(graph) == [temporal_shift.Shift(4, fold, first, second)]
    assert not leftovers(graph)


def test_a_shift_of_one_clip_needs_no_fifth_axis():
    def direct(x, frames, fold):
        y = x.clone()
        y[:, :fold] = 0
        y[1:, :fold] = x[:-1, :fold]
        return y

    graph, _ = rewritten(Residual(direct), clips=1)
    assert shifts(graph) == [temporal_shift.Shift(4, 2, -1, 0)]
    assert not leftovers(graph)


def test_the_source_may_have_another_shape():
    def of_clips(x, fold):
        x = torch.tanh(x)
        return channels(later(x[:, :, :fold]), x[:, :, fold:])

    graph, _ = rewritten(Residual(over_clips(of_clips)))
    assert shifts(graph) == [temporal_shift.Shift(4, 2, 1, 0)]
    assert leftovers(graph) == {"Tanh"}


def test_two_shifts_in_a_row_become_two_nodes():
    def twice(x, frames, fold):
        return padded(slices_into_zeros(x, frames, fold), frames, 1)

    graph, _ = rewritten(Residual(twice))
    assert shifts(graph) == [temporal_shift.Shift(4, 2), temporal_shift.Shift(4, 1)]


@pytest.mark.parametrize("form", [slices_into_zeros, roll_times_mask, convolved])
def test_a_large_feature_map_costs_no_more_than_a_small_one(form):
    graph = trace(Residual(form).eval(), torch.zeros(1, 8, 3, 256, 256))
    run_passes(graph, (fold_constants,))
    tracemalloc.start()
    report = recognize_temporal_shift(graph)
    peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert report.matched == 1
    assert peak_mib < 4, "the feature map itself has 16 MiB"


def test_a_network_of_the_zoo_stays_as_it_is():
    graph = trace(create_model("tsm_mbv2", num_classes=3, frames=2).eval(), torch.zeros(1, 2, 3, 32, 32))
    run_passes(graph, (fold_constants,))
    nodes = [node.name for node in graph.graph]
    report = recognize_temporal_shift(graph)
    assert [node.name for node in graph.graph] == nodes
    assert (report.matched, report.refused) == (0, ())
