"""An export warns of a network whose output does not depend on its input or on some of its frames."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

import edgevid
from edgevid.exporter.lint import ignored_frames

pytestmark = pytest.mark.slow


class Mean(nn.Module):
    """The mean of the frames ``seen``, through one layer; ``how`` changes what it gives."""

    def __init__(self, seen=slice(None), how=lambda logits: logits):
        super().__init__()
        self.seen, self.how, self.layer = seen, how, nn.Linear(3, 4)

    def forward(self, clip):
        return self.how(self.layer(clip[:, self.seen].mean((1, 3, 4))))


class Beforehand(Mean):
    def __init__(self):
        super().__init__()
        self.register_buffer("answer", torch.ones(1, 4))

    def forward(self, clip):
        return self.answer * 1


def exported(network, folder):
    return edgevid.export(network, output=folder, frames=4, size=8)


def test_frames_that_a_network_drops_are_named(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "edgevid"):
        bundle = exported(Mean(slice(0, None, 2)), tmp_path / "bundle")
    (warning,) = bundle.manifest.warnings
    assert "does not depend on 2 of its 4 frames (1, 3)" in warning
    assert warning in caplog.messages


def test_an_output_that_was_computed_beforehand_is_told(tmp_path):
    (warning,) = exported(Beforehand(), tmp_path / "bundle").manifest.warnings
    assert "does not depend on its input" in warning


def test_a_network_that_sees_every_frame_has_no_warning(tmp_path):
    assert exported(Mean(), tmp_path / "bundle").manifest.warnings == ()


@pytest.mark.parametrize(
    "how",
    [
        lambda logits: logits.round(decimals=3),  # its gradient is zero everywhere
        lambda logits: logits.detach(),  # it has none
        lambda logits: logits.softmax(1),  # its sum is always 1
    ],
)
def test_what_has_no_gradient_is_tried_out(how):
    torch.manual_seed(0)
    network, clip = Mean(slice(1, None), how), torch.randn(1, 4, 3, 8, 8)
    assert ignored_frames(network, clip) == [0]
