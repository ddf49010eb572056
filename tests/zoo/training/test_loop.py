"""Whole trainings of a tiny network on squares that move to the right or to the left."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
import torch
from synthetic_clips import TRAINED, TinyNetwork, make_training

from edgevid.errors import EdgevidError, WeightsError
from edgevid.zoo.training.checkpoint import LAST, Epoch, Run, load_network, network_bytes, read_state
from edgevid.zoo.training.loop import kept_epoch
from edgevid.zoo.training.recipe import RECIPES, Recipe

SHORT = Recipe(epochs=4, batch=8, rate=0.05, scales=(1.0, 0.875), dropout=0.2)
LIKE_PPTSM = dataclasses.replace(
    RECIPES["pptsm"], epochs=4, batch=8, scales=(1.0,), precise_bn=3, precise_bn_every=2
)


def train(recipe: Recipe, **options):
    files: dict[str, bytes] = {}
    return list(make_training(recipe, files, **options).epochs()), files


@pytest.mark.slow
def test_a_network_with_a_shift_learns_the_order_of_frames_and_one_without_cannot():
    recipe = dataclasses.replace(SHORT, epochs=12)
    with_shift, _ = train(recipe)
    without, _ = train(recipe, shifts=False)
    assert with_shift[-1].test_accuracy > 0.9
    assert with_shift[-1].loss < with_shift[0].loss / 2
    assert without[-1].test_accuracy == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize("recipe", [SHORT, LIKE_PPTSM], ids=["tsn", "pptsm"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(recipe, tmp_path):
    expected, whole = train(recipe)
    files: dict[str, bytes] = {}
    interrupted = make_training(recipe, files)
    for epoch in interrupted.epochs():
        if epoch.number == 2:
            break
    (tmp_path / LAST).write_bytes(files[LAST])
    resumed = make_training(recipe, files)
    state = read_state(tmp_path / LAST, resumed.run)
    result = list(resumed.epochs(state))
    without_time = [dataclasses.replace(epoch, seconds=0) for epoch in expected]
    assert [dataclasses.replace(epoch, seconds=0) for epoch in (*state.epochs, *result)] == without_time
    first, second = (torch.load(io.BytesIO(content[LAST]))["state_dict"] for content in (whole, files))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)


def test_a_training_with_other_settings_does_not_continue(tmp_path):
    _, files = train(dataclasses.replace(SHORT, epochs=1))
    (tmp_path / LAST).write_bytes(files[LAST])
    with pytest.raises(WeightsError, match=r"other settings \(epochs 1, not 4\)"):
        read_state(tmp_path / LAST, Run(TRAINED, SHORT, 0))


def test_the_best_epoch_is_kept_or_the_last_one():
    results = [
        Epoch(number, 0.1, 1.0, 0.5, 1.0, accuracy, 1.0) for number, accuracy in enumerate((0.7, 0.7, 0.6))
    ]
    assert kept_epoch(results, keeps_last=False).number == 1
    assert kept_epoch(results, keeps_last=True).number == 2


def test_a_file_of_another_kind_is_no_state(tmp_path):
    (tmp_path / LAST).write_bytes(b"video")
    with pytest.raises(WeightsError, match="is not a checkpoint"):
        read_state(tmp_path / LAST, Run(TRAINED, SHORT, 0))


def test_partial_batch_norm_is_for_networks_that_were_trained_before():
    recipe = dataclasses.replace(SHORT, epochs=1, partial_bn=True)
    for weights in (None, "before.pt"):
        network = TinyNetwork()
        train(recipe, network=network, weights=weights)
        assert (network.second_norm.running_mean.abs().sum() == 0) == bool(weights)
        assert network.first_norm.running_mean.abs().sum() > 0


def test_a_network_with_weights_of_three_dimensions_trains():
    network = TinyNetwork()
    network.over_time = torch.nn.Conv3d(1, 1, 3)
    epochs, _ = train(dataclasses.replace(SHORT, epochs=1), network=network)
    assert len(epochs) == 1 and network.first.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_student_imitates_its_teacher():
    class Constant(torch.nn.Module):
        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, 4.0]]).expand(len(clip), 2)

    taught, _ = train(SHORT, teacher=Constant(), shifts=False)
    alone, _ = train(SHORT, shifts=False)
    assert taught[-1].test_loss > alone[-1].test_loss + 0.02, "the teacher's wrong answers did not count"


def test_an_exploding_loss_ends_the_training_with_advice():
    with pytest.raises(EdgevidError, match="choose a smaller --lr"):
        train(dataclasses.replace(SHORT, rate=1e30))


def test_a_checkpoint_brings_its_network(tmp_path: Path):
    import edgevid

    trained = dataclasses.replace(TRAINED, width=0.25)
    network = edgevid.create_model("tsm_mbv2", 2, 4, width=0.25)
    (tmp_path / "c.pt").write_bytes(network_bytes(network, trained))
    loaded, record = load_network(tmp_path / "c.pt")
    assert record == trained and not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    torch.save(network.state_dict(), tmp_path / "plain.pt")
    with pytest.raises(WeightsError, match="does not say which network"):
        load_network(tmp_path / "plain.pt")
    with pytest.raises(WeightsError, match="is a folder: pass the checkpoint file in it"):
        load_network(tmp_path)
