"""A causal shift written in standard operators streams, though one frame does not show its direction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import edgevid
from edgevid.errors import ExportError
from edgevid.zoo.layers.shift import TemporalShift

pytestmark = pytest.mark.slow

FRAMES, SIZE = 5, 16


def assigned(x, fold):
    """Slices assigned into zeros, as the official code writes its shift."""
    out = torch.zeros_like(x)
    out[:, 1:, :fold] = x[:, :-1, :fold]
    out[:, :, fold:] = x[:, :, fold:]
    return out


def concatenated(x, fold):
    earlier = torch.cat((torch.zeros_like(x[:, :1, :fold]), x[:, :-1, :fold]), 1)
    return torch.cat((earlier, x[:, :, fold:]), 2)


def padded(x, fold):
    earlier = functional.pad(x[:, :, :fold], (0, 0, 0, 0, 0, 0, 1, 0))[:, :-1]
    return torch.cat((earlier, x[:, :, fold:]), 2)


def bidirectional(x, fold):
    out = torch.zeros_like(x)
    out[:, 1:, :fold] = x[:, :-1, :fold]
    out[:, :-1, fold : 2 * fold] = x[:, 1:, fold : 2 * fold]
    out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return out


def by_two_frames(x, fold):
    earlier = torch.cat((torch.zeros_like(x[:, :2, :fold]), x[:, :-2, :fold]), 1)[:, : x.shape[1]]
    return torch.cat((earlier, x[:, :, fold:]), 2)


class Network(nn.Module):
    """A shift written as ``form`` says, one of the zoo's, and again one as ``form`` says."""

    def __init__(self, form, fold):
        super().__init__()
        self.form, self.fold = form, fold
        self.first, self.second = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 1)
        self.shift, self.classifier = TemporalShift("causal"), nn.Linear(8, 4)

    def _moved(self, x, frames):
        return self.form(x.unflatten(0, (-1, frames)), self.fold).flatten(0, 1)

    def frame_logits(self, clip):
        frames = clip.shape[1]
        x = torch.relu(self.first(clip.flatten(0, 1)))
        x = torch.relu(self.second(self.shift(self._moved(x, frames), frames)))
        return self.classifier(self._moved(x, frames).mean((2, 3))).unflatten(0, (-1, frames))

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


def streamed(form, fold, folder):
    torch.manual_seed(0)
    network = Network(form, fold).eval()
    return network, edgevid.export(network, output=folder, frames=FRAMES, size=SIZE, stream=True)


@pytest.mark.parametrize("fold", [2, 3])
@pytest.mark.parametrize("form", [assigned, concatenated, padded])
def test_a_hand_written_causal_shift_streams_as_it_sees_a_clip(form, fold, tmp_path):
    network, bundle = streamed(form, fold, tmp_path / "bundle")
    assert [state.shape[1] for state in bundle.manifest.states] == [fold, 1, fold]
    assert_equal_frame_by_frame(network, bundle)


def assert_equal_frame_by_frame(network, bundle):
    clip = np.random.default_rng(1).standard_normal((1, FRAMES, 3, SIZE, SIZE), np.float32)
    with torch.no_grad():
        expected = network.frame_logits(torch.from_numpy(clip))[0].numpy()
    stream = edgevid.open(bundle.path).stream()
    output = np.concatenate([stream.push(frame[None])["logits"] for frame in clip[0]])
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(expected[0], expected[1])


def test_a_hand_written_bidirectional_shift_is_not_streamed(tmp_path):
    with pytest.raises(ExportError, match="looks into the future"):
        streamed(bidirectional, 2, tmp_path / "bundle")


def test_data_movement_by_two_frames_streams_without_being_a_shift(tmp_path):
    network, bundle = streamed(by_two_frames, 2, tmp_path / "bundle")
    assert [state.shape[1:3] for state in bundle.manifest.states] == [(2, 2), (1, 7), (2, 2)]
    assert_equal_frame_by_frame(network, bundle)
