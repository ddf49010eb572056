"""Data movement that only resembles a temporal shift stays, and the report says why."""

from __future__ import annotations

import pytest
import torch
from test_recognize_temporal_shift import (
    Residual,
    channels,
    convolved,
    earlier,
    later,
    one_hot_filters,
    over_clips,
    rewritten,
    shifts,
)  # fmt: skip
from torch import nn
from torch.nn import functional

from edgevid.ops.temporal_shift import Shift
from edgevid.passes.recognize.temporal_conv import recognize_temporal_conv

pytestmark = pytest.mark.slow

NEAR_MISSES = {
    "are not the first ones": lambda x, f: channels(
        later(x[:, :, :f]), x[:, :, f : f + 1], earlier(x[:, :, f + 1 : 2 * f + 1]), x[:, :, 2 * f + 1 :]
    ),
    "channels 2 to 3 are not the first": lambda x, f: channels(
        x[:, :, :f], later(x[:, :, f : 2 * f]), x[:, :, 2 * f :]
    ),
    "2 channels move one way and 3 the other": lambda x, f: channels(
        later(x[:, :, :f]), earlier(x[:, :, f : 2 * f + 1]), x[:, :, 2 * f + 1 :]
    ),
    "between others that move the other way": lambda x, f: channels(
        later(x[:, :, :f]), earlier(x[:, :, f : 2 * f]), later(x[:, :, 2 * f : 3 * f]), x[:, :, 3 * f :]
    ),
    "wraps around the clip": lambda x, f: channels(
        x[:, :, :f].roll(-1, 1), x[:, :, f : 2 * f].roll(1, 1), x[:, :, 2 * f :]
    ),
    "is moved by 2 frames": lambda x, f: channels(
        later(x[:, :, :f], 2), earlier(x[:, :, f : 2 * f], 2), x[:, :, 2 * f :]
    ),
    "takes frame 3 for frame 0": lambda x, f: channels(
        x[:, :, :f].flip(1), earlier(x[:, :, f : 2 * f]), x[:, :, 2 * f :]
    ),
    "repeats a frame at the end": lambda x, f: channels(
        torch.cat((x[:, 1:, :f], x[:, -1:, :f]), 1), earlier(x[:, :, f : 2 * f]), x[:, :, 2 * f :]
    ),
    "along axis 2, inside a frame": lambda x, f: channels(
        functional.pad(x[:, :, :f, 1:], (0, 0, 0, 1)), functional.pad(x[:, :, f : 2 * f, :-1], (0, 0, 1, 0)),
        x[:, :, 2 * f :],
    ),
    "channel 0 takes its values from channel 2": lambda x, f: channels(
        later(x[:, :, f : 2 * f]), earlier(x[:, :, :f]), x[:, :, 2 * f :]
    ),
    "is zero in frame 0, and is not moved": lambda x, f: torch.cat((x[:, :1] * 0, x[:, 1:]), 1),
}  # fmt: skip


@pytest.mark.parametrize("reason", NEAR_MISSES)
def test_a_near_miss_stays_and_is_reported(reason):
    graph, report = rewritten(Residual(over_clips(NEAR_MISSES[reason])))
    assert not shifts(graph)
    assert report.matched == 0
    assert len(report.refused) == 1
    assert reason in report.refused[0]


def test_a_near_miss_does_not_hide_the_shift_before_it():
    def shift_then_roll(x, frames, fold):
        x = convolved(x, frames, fold)
        return over_clips(NEAR_MISSES["wraps around the clip"])(x, frames, fold)

    graph, report = rewritten(Residual(shift_then_roll))
    assert shifts(graph) == [Shift(4, 2)]
    assert len(report.refused) == 1


class Filtered(Residual):
    """The shift is a convolution over time with these filters."""

    def __init__(self, filters, bias=None):
        super().__init__(lambda x, frames, fold: convolved(x, frames, fold, self.filters, self.bias))
        self.filters = nn.Parameter(filters)
        self.bias = bias if bias is None else nn.Parameter(bias)


def almost_one_hot():
    filters = one_hot_filters(8, 2)
    filters[3, 0, 1] = 1e-3
    return filters


@pytest.mark.parametrize(
    ("filters", "bias"),
    [
        (torch.full((8, 1, 3), 0.25), None),
        (almost_one_hot(), None),
        (one_hot_filters(8, 2), torch.ones(8)),
    ],
)
def test_learned_filters_over_time_are_a_convolution_and_not_a_shift(filters, bias):
    """The pass for shifts does not report them, since the next pass replaces them."""
    graph, report = rewritten(Filtered(filters, bias))
    assert not shifts(graph)
    assert [node.op_type for node in graph.graph].count("Transpose") == 2
    assert not report.refused
    assert recognize_temporal_conv(graph).matched == 1


@pytest.mark.parametrize(
    "ordinary",
    [
        lambda x, fold: x.unflatten(2, (2, -1)).transpose(2, 3).flatten(2, 3),
        lambda x, fold: x.roll(1, 3),
        lambda x, fold: torch.sigmoid(x) * torch.zeros(x.shape),
        lambda x, fold: x * 0.5 + later(x),
        lambda x, fold: torch.relu(x.transpose(1, 2).flatten(2)).unflatten(2, (-1, 6, 5)).transpose(1, 2),
    ],
)
def test_data_movement_unlike_a_shift_is_not_reported(ordinary):
    graph, report = rewritten(Residual(over_clips(ordinary)))
    assert not shifts(graph)
    assert not report.refused
