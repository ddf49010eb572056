"""``--weights digits`` is the file of trained weights that comes with edgevid for a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgevid.errors import WeightsError
from edgevid.exporter.network import build_network
from edgevid.exporter.request import make_request
from edgevid.specs import Preprocessing
from edgevid.specs.export_options import ExportOptions
from edgevid.zoo import MODELS, shipped
from edgevid.zoo.create import create_model
from edgevid.zoo.training.trained import KEY, Trained

TRAINED = Trained("tsm_mbv2", 4, ("left", "right"), Preprocessing(short_side=32, crop=32), width=0.25)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Weights as the real ones are, in half precision, of a smaller network."""
    state = create_model("tsm_mbv2", 2, 4, width=0.25).state_dict()
    state = {name: tensor.half() if tensor.dim() > 1 else tensor for name, tensor in state.items()}
    torch.save({"state_dict": state, KEY: TRAINED.as_json()}, tmp_path / "tsm_mbv2.digits.pt")
    monkeypatch.setattr(shipped.find_weights, "__defaults__", (tmp_path,))
    return tmp_path


def test_the_name_of_a_data_set_stands_for_the_networks_file(folder):
    assert shipped.find_weights("digits", "tsm_mbv2") == folder / "tsm_mbv2.digits.pt"


@pytest.mark.parametrize("name", ["./digits", "digits.pt", Path("a") / "digits"])
def test_any_other_name_is_a_path(folder, name):
    assert shipped.find_weights(name, "tsm_mbv2") == Path(name)


def test_a_network_without_them_is_refused_with_those_that_have_some(folder):
    with pytest.raises(WeightsError, match=r"no weights of stm_r50 on 'digits'.*choose tsm_mbv2, or train"):
        shipped.find_weights("digits", "stm_r50")
    with pytest.raises(WeightsError, match="come with edgevid: train them: edgevid dataset digits"):
        shipped.find_weights("digits", "stm_r50", folder / "none")


def test_the_networks_that_have_some_are_listed(folder):
    (folder / "README.md").touch()
    assert shipped.models_with("digits", folder) == ["tsm_mbv2"]


def test_an_export_takes_them_with_their_classes_and_input(folder, tmp_path):
    request = make_request("tsm_mbv2", "cpu", tmp_path / "bundle", ExportOptions(weights="digits"))
    network = build_network(request)
    assert (request.frames, request.size, request.trained) == (4, 32, TRAINED)
    assert network.source == "tsm_mbv2.digits.pt"
    weight = network.module.state_dict()["classifier.weight"]
    assert weight.dtype == torch.float32
    assert torch.equal(weight, weight.half().float())


def test_the_files_that_come_are_of_networks_and_small():
    files = list(shipped.FOLDER.glob("*.pt"))
    assert {path.name.split(".")[0] for path in files} <= set(MODELS)
    assert sum(path.stat().st_size for path in files) < 20e6
