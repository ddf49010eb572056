"""A model file with free dimensions takes any number of clips, or of frames; what was baked in is refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import edgevid
from edgevid.dynamic import MODEL
from edgevid.errors import EdgevidError, ExportError
from edgevid.zoo.shift import TemporalShift


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.shift = nn.Conv2d(3, 8, 3, 2), TemporalShift("two-way")
        self.mix, self.layer = nn.Conv2d(8, 8, 1), nn.Linear(8, 4)

    def forward(self, clip):
        x = self.mix(self.shift(torch.relu(self.conv(clip.flatten(0, 1))), clip.shape[1]))
        return self.layer(x.mean((2, 3))).unflatten(0, clip.shape[:2]).mean(1)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, clip):
        return self.layer(clip.mean((1, 3, 4)))


class BakedIn(Mean):
    """Takes whatever it gets for one clip of 4 frames."""

    def forward(self, clip):
        return super().forward(clip.reshape(1, 4, *clip.shape[2:]))


def exported(network, folder, **options):
    torch.manual_seed(0)
    return edgevid.export(network.eval(), output=folder, frames=4, size=16, **options)


def clips(batch, frames):
    return np.random.default_rng(0).standard_normal((batch, frames, 3, 16, 16), np.float32)


def same_in_plain_onnxruntime(network, bundle, given):
    session = onnxruntime.InferenceSession(str(bundle.path / MODEL), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = network(torch.from_numpy(given)).numpy()
    np.testing.assert_allclose(session.run(None, {"clip": given})[0], wanted, rtol=1e-4, atol=1e-5)
    return wanted


def test_any_number_of_clips_runs_in_plain_onnxruntime_and_with_our_kernels(tmp_path):
    network = Shifted()
    bundle = exported(network, tmp_path / "bundle", dynamic_batch=True)
    for batch in (1, 2, 5):
        wanted = same_in_plain_onnxruntime(network, bundle, clips(batch, 4))
        got = edgevid.open(bundle.path).run(clips(batch, 4))["logits"]
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_any_number_of_frames_runs_where_no_op_holds_it(tmp_path):
    network = Mean()
    bundle = exported(network, tmp_path / "bundle", dynamic_batch=True, dynamic_frames=True)
    for batch, frames in ((1, 2), (2, 4), (3, 9)):
        same_in_plain_onnxruntime(network, bundle, clips(batch, frames))


def test_a_temporal_op_holds_its_number_of_frames(tmp_path):
    with pytest.raises(ExportError, match="does not allow --dynamic-frames"):
        exported(Shifted(), tmp_path / "bundle", dynamic_frames=True)


def test_a_batch_that_was_baked_in_is_refused(tmp_path):
    with pytest.raises(ExportError, match="does not allow --dynamic-batch"):
        exported(BakedIn(), tmp_path / "bundle", dynamic_batch=True)


def test_a_stream_and_tensorrt_take_no_free_dimensions(tmp_path):
    with pytest.raises(EdgevidError, match="leave out --dynamic-batch"):
        edgevid.export("tsm_mbv2_online", output=tmp_path / "a", stream=True, dynamic_batch=True)
    with pytest.raises(EdgevidError, match="leave out --dynamic-frames"):
        edgevid.export("tsn_mbv2", "jetson", tmp_path / "a", dynamic_frames=True)
