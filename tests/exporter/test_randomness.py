"""A network with random outputs is refused, and the layer or operator is named."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import edgevid
from edgevid.errors import ExportError
from edgevid.specs import ModelSpec

FRAMES, SIZE = 2, 16

pytestmark = pytest.mark.slow


class Network(nn.Module):
    """Features of each frame, what ``change`` makes of them, a classifier."""

    def __init__(self, change=None, layer: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, stride=4)
        self.middle = nn.Sequential(nn.ReLU(), layer or nn.Identity())
        self.head = nn.Linear(16, 6)
        self.change = change or (lambda x: x)

    def forward(self, clip):
        return self.frame_logits(clip).mean(1)

    def frame_logits(self, clip):
        x = self.middle(self.stem(clip.flatten(0, 1))).mean((2, 3))
        return self.head(self.change(x)).unflatten(0, clip.shape[:2])


class DropPath(nn.Module):
    """Drops a whole clip now and then, whatever the mode."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.kept = 1 - probability

    def forward(self, x):
        return x * x.new_empty(1, 1, 1, 1).bernoulli_(self.kept) / self.kept


class AlwaysOn(nn.Dropout):
    def train(self, mode: bool = True):
        return super().train(True)


class Jitter(nn.Module):
    """Random by ``draw``, which is not a PyTorch operator."""

    def __init__(self, draw) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x):
        return x * (1 + float(self.draw()))


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def export(network: nn.Module, tmp_path, **options):
    fields = {"size": SIZE, "frames": FRAMES, "causal": True}
    network.edgevid_spec = ModelSpec("own", "a network", "", "this test", **fields)
    return edgevid.export(network, output=tmp_path / "bundle", **options)


GENERATOR = np.random.default_rng(0)
RANDOM = {
    "dropout": (
        Network(lambda x: F.dropout(x, 0.5)),
        ["'dropout' (test_randomness.py:", "training=self.training"],
    ),
    "dropout3d": (Network(layer=AlwaysOn(0.5)), ["'dropout' in layer 'middle.1'"]),
    "randperm": (Network(lambda x: x[:, torch.randperm(16)]), ["'randperm'"]),
    "rand": (Network(lambda x: x + torch.rand(16)), ["'rand'"]),
    "normal": (Network(lambda x: x + torch.empty_like(x).normal_()), ["'normal'"]),
    "randint": (Network(lambda x: x + torch.randint(1, 15, x.shape)), ["'randint'"]),
    "gumbel": (Network(lambda x: F.gumbel_softmax(x)), ["'gumbel_softmax'"]),
    "multinomial": (Network(lambda x: x[:, torch.multinomial(torch.ones(16), 16)]), ["'multinomial'"]),
    "python": (Network(layer=Jitter(random.random)), ["Python's random", "layer 'middle.1'"]),
    "numpy": (Network(layer=Jitter(np.random.rand)), ["numpy.random", "layer 'middle.1'"]),
    "own generator": (Network(layer=Jitter(GENERATOR.random)), ["draws random numbers", "layer 'middle.1'"]),
    "memory": (Network(layer=Counter()), ["between calls", "buffer 'middle.1.calls'"]),
}


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("stream", [False, True])
def test_what_draws_random_numbers_is_named(kind, stream, tmp_path):
    network, words = RANDOM[kind]
    with pytest.raises(ExportError) as error:
        export(network, tmp_path, stream=stream)
    message = str(error.value)
    assert "a different output each time for the same input" in message
    assert "please report" not in message
    for word in words:
        assert word in message
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_drops_seldom_is_found_in_the_graph(tmp_path):
    with pytest.raises(ExportError, match=r"a different output each time.*'bernoulli' in layer 'middle.1'"):
        export(Network(layer=DropPath(1e-6)), tmp_path)


class InPlace(Network):
    def frame_logits(self, clip):
        return super().frame_logits(clip.sub_(0.5).mul_(2))


class Once(nn.Module):
    """Takes a single call, as code does that moves its weights away."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        x = x * self.weight
        del self.weight
        return x


def test_a_network_that_bears_one_call_is_refused(tmp_path):
    with pytest.raises(ExportError, match="fails when called with the same input again"):
        export(Network(layer=Once()), tmp_path)


SOUND = {
    "work in place on the input": InPlace(),
    "dropout that is off": Network(layer=nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout())),
    "dropout of nothing": Network(lambda x: F.dropout(x, 0.0)),
    "attention": Network(lambda x: F.scaled_dot_product_attention(*[x[None, None]] * 3)[0, 0]),
    "a number that is not used": Network(lambda x: (torch.rand(1), x)[1]),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_network_that_is_random_in_training_alone_is_exported(kind, tmp_path):
    assert export(SOUND[kind].train(), tmp_path).manifest.parity.ok
    assert SOUND[kind].training


def test_no_hook_is_left_on_the_network(tmp_path):
    network = Network(lambda x: F.dropout(x, 0.5))
    with pytest.raises(ExportError):
        export(network, tmp_path)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


class LayerDrop(nn.Module):
    """Leaves its layer out now and then, as ``draw`` says."""

    def __init__(self, draw) -> None:
        super().__init__()
        self.layer, self.draw = nn.Conv2d(16, 16, 1), draw

    def forward(self, x):
        return x if self.draw() else self.layer(x)


@pytest.mark.parametrize(
    ("draw", "named"),
    [(lambda: random.random() < 0.3, "Python's random"), (lambda: torch.rand([]) < 0.3, "'rand' in layer")],
    ids=["Python", "PyTorch"],
)
def test_a_layer_that_is_left_out_now_and_then_is_told_even_if_two_runs_agree(draw, named, tmp_path):
    for seed in range(3):
        torch.manual_seed(seed)
        random.seed(seed)
        with pytest.raises(ExportError, match="a different output each time") as error:
            export(Network(layer=LayerDrop(draw)), tmp_path / str(seed))
        assert named in str(error.value)
