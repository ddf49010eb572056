"""An export with --explain adds a file whose class activation maps are PyTorch's; the others stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_network import Shifted, shifted_causal
from torch import nn

import edgevid
from edgevid.errors import ParityError
from edgevid.specs.explanation import EXPLAIN_MODEL, MAPS

pytestmark = pytest.mark.slow


class Uneven(nn.Module):
    """Its mean counts the border of the feature map less than the middle."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.pool, self.layer = nn.Conv2d(3, 8, 3, 2), nn.AvgPool2d(3, 1), nn.Linear(8, 5)

    def forward(self, clip):
        x = torch.relu(self.conv(clip.flatten(0, 1)))
        return self.layer(self.pool(x).mean((2, 3))).unflatten(0, (clip.shape[0], -1)).mean(1)


def explaining(bundle) -> edgevid.Session:
    artefact = next(each for each in bundle.manifest.artefacts if each.file == EXPLAIN_MODEL)
    return edgevid.Session(bundle, artefact=artefact, with_kernels=False)


def features_of(network: nn.Module, clip: np.ndarray) -> np.ndarray:
    kept = []
    hook = network.blocks[-1].register_forward_hook(lambda module, inputs, output: kept.append(output))
    with torch.no_grad():
        network(torch.from_numpy(clip))
    hook.remove()
    return kept[0].numpy()


def test_the_maps_are_the_eager_features_times_the_classifier(tmp_path):
    network = Shifted().eval()
    bundle = edgevid.export(network, output=tmp_path / "b", frames=4, size=32, explain=True)
    clip = np.random.default_rng(1).standard_normal((1, 4, 3, 32, 32), dtype=np.float32)
    outputs, weight = explaining(bundle).run(clip), network.layer.weight.detach().numpy()
    expected = np.einsum("kc,tchw->tkhw", weight, features_of(network, clip))
    np.testing.assert_allclose(outputs[MAPS], expected, rtol=1e-4, atol=1e-5)
    means = outputs[MAPS].mean((0, 2, 3)) + network.layer.bias.detach().numpy()
    np.testing.assert_allclose(means, outputs["logits"][0], rtol=1e-4, atol=1e-5)
    opened = edgevid.open(bundle.path)
    assert set(opened.run(clip)) == {"logits"}
    assert (bundle.path / EXPLAIN_MODEL).stat().st_size < (64 << 10), "its weights are those of the model"


def test_a_stream_has_the_map_of_each_frame(tmp_path):
    network = shifted_causal().eval()
    bundle = edgevid.export(network, output=tmp_path / "b", frames=4, size=32, stream=True, explain=True)
    clip = np.random.default_rng(1).standard_normal((1, 4, 3, 32, 32), dtype=np.float32)
    stream, weight = explaining(bundle).stream(), network.layer.weight.detach().numpy()
    maps = np.concatenate([stream.push(frame[None])[MAPS] for frame in clip[0]])
    expected = np.einsum("kc,tchw->tkhw", weight, features_of(network, clip))
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)


def test_a_mean_that_is_not_even_is_noticed_and_nothing_is_written(tmp_path):
    with pytest.raises(ParityError, match=r"do not add up to .* logits .*Leave out --explain"):
        edgevid.export(Uneven(), output=tmp_path / "b", frames=2, size=32, explain=True)
    assert list(tmp_path.iterdir()) == []
