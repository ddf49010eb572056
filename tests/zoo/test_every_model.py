"""Every network of the list can be created, exported and proven equal. Grows by registration."""

from __future__ import annotations

import pytest
import torch

import edgevid
from edgevid.errors import EdgevidError, UnknownNameError
from edgevid.zoo import MODELS
from edgevid.zoo.shift import TemporalShift

LARGE = {"tsm_r101", "tsm_rx101"}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_logits_for_a_batch_of_clips(name):
    network = edgevid.create_model(name, num_classes=7, frames=2).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, 2, 3, 64, 64))
    assert logits.shape == (2, 7)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_exports_and_equals_pytorch(name, tmp_path):
    bundle = edgevid.export(name, output=tmp_path / name, classes=5, frames=2, size=64)
    assert bundle.manifest.parity.ok
    assert bundle.manifest.parity.max_rel < 1e-5


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.causal])
def test_every_causal_model_streams(name, tmp_path):
    bundle = edgevid.export(name, output=tmp_path / name, classes=5, frames=3, size=64, stream=True)
    assert bundle.manifest.parity.max_rel < 1e-5


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.online])
def test_every_online_variant_exists_and_is_causal(name):
    assert MODELS[MODELS[name].online].causal


@pytest.mark.parametrize("name", [name for name in MODELS if name not in LARGE])
def test_every_model_answers_each_frame_as_it_averages_them(name):
    network = edgevid.create_model(name, num_classes=3, frames=4).eval()
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network.frame_logits(clip).mean(1), network(clip))


@pytest.mark.parametrize("name", [spec.name for spec in MODELS.values() if spec.causal])
def test_a_causal_model_does_not_see_later_frames(name):
    network = edgevid.create_model(name, num_classes=3, frames=4).eval()
    clip = torch.randn(1, 4, 3, 64, 64)
    changed = clip.clone()
    changed[:, 3] = 0
    with torch.no_grad():
        before, after = network.frame_logits(clip), network.frame_logits(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_a_two_way_model_sees_the_next_frame():
    network = edgevid.create_model("tsm_mbv2", num_classes=3, frames=4).eval()
    clip = torch.randn(1, 4, 3, 64, 64)
    changed = clip.clone()
    changed[:, 3] = 0
    with torch.no_grad():
        before, after = network.frame_logits(clip), network.frame_logits(changed)
    assert not torch.allclose(before[:, 2], after[:, 2])


@pytest.mark.parametrize(
    ("name", "shifts", "parameters"),
    [
        ("tsn_r50", 0, 24_327_632),
        ("tsm_r50", 16, 24_327_632),
        ("tsm_r50_online", 16, 24_327_632),
        ("tsm_r101", 18, 43_319_760),
        ("tsm_rx101", 18, 87_561_936),
        ("tsm_mbv2", 10, 2_736_272),
        ("tsm_mbv2_online", 10, 2_736_272),
    ],
)
def test_shifts_and_parameters_are_those_of_the_official_network(name, shifts, parameters):
    network = edgevid.create_model(name)
    assert sum(isinstance(module, TemporalShift) for module in network.modules()) == shifts
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean tsm_mbv2"):
        edgevid.create_model("tsm_mbv")


def test_no_classes_are_refused():
    with pytest.raises(EdgevidError, match="at least one class"):
        edgevid.create_model("tsm_mbv2", num_classes=0)
