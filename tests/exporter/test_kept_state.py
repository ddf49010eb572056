"""A network that remembers between calls is refused by the module that does; one that forgets exports."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import edgevid
from edgevid.errors import ExportError

pytestmark = pytest.mark.slow

FRAMES, SIZE = 4, 8


class Remembering(nn.Module):
    """A causal convolution whose padding is what the call before left, as MoViNet's stream buffers are."""

    def __init__(self, kept: str) -> None:
        super().__init__()
        self.conv, self.kept, self.activation = nn.Conv1d(3, 4, 3), kept, None
        self.register_buffer("ring", torch.zeros(1, 3, 2))
        self.queue = []

    def forget(self):
        self.activation, self.queue = None, []
        self.ring = torch.zeros(1, 3, 2)

    def before(self, x):
        if self.kept == "activation":
            return torch.zeros_like(x[:, :, :2]) if self.activation is None else self.activation
        return self.queue[-1] if self.queue else self.ring

    def forward(self, x):
        joined = torch.cat((self.before(x), x), 2)
        if self.kept == "activation":
            self.activation = joined[:, :, -2:].clone()
        elif self.kept == "queue":
            self.queue = [*self.queue, joined[:, :, -2:].clone()]
        else:
            self.ring.copy_(joined[:, :, -2:])
        return self.conv(joined)


class Network(nn.Module):
    def __init__(self, kept: str, forgets: bool) -> None:
        super().__init__()
        self.block, self.forgets = Remembering(kept), forgets

    def frame_logits(self, clip):
        if self.forgets:
            self.block.forget()
        logits = self.block(clip.mean((3, 4)).transpose(1, 2)).transpose(1, 2)
        if self.forgets:
            self.block.forget()
        return logits

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)


class Caching(nn.Module):
    """Keeps a table that is the same for each clip."""

    def __init__(self):
        super().__init__()
        self.layer, self.table = nn.Linear(3, 4), None

    def forward(self, clip):
        if self.table is None:
            self.table = torch.arange(clip.shape[1]).view(1, -1, 1) / 8
        return self.layer(clip.mean((3, 4)) + self.table).mean(1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kept", ["activation", "queue", "ring"])
def test_activations_that_are_kept_between_calls_are_named(kept, stream, tmp_path):
    with pytest.raises(ExportError, match=rf"keeps activations between calls, in .*'block\.{kept}'"):
        edgevid.export(Network(kept, False), output=tmp_path / "b", frames=FRAMES, size=SIZE, stream=stream)
    assert not (tmp_path / "b").exists()


def test_one_that_forgets_them_streams_with_states_of_its_own(tmp_path):
    network = Network("activation", True)
    bundle = edgevid.export(network, output=tmp_path / "b", frames=FRAMES, size=SIZE, stream=True)
    assert [(state.op, state.shape) for state in bundle.manifest.states] == [("block.conv", (1, 3, 2))]
    assert bundle.manifest.parity.ok


def test_a_table_that_is_made_once_does_no_harm(tmp_path):
    edgevid.export(Caching(), output=tmp_path / "b", frames=FRAMES, size=SIZE)
