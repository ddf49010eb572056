"""A checkpoint of ``edgevid train`` brings its width, input, preprocessing and classes to an export."""

from __future__ import annotations

import json

import pytest
import torch

import edgevid
from edgevid.errors import WeightsError
from edgevid.exporter.describe import write_labels
from edgevid.exporter.network import build_network
from edgevid.exporter.request import make_request
from edgevid.specs import Preprocessing
from edgevid.specs.export_options import ExportOptions
from edgevid.zoo.training.trained import KEY, Trained

TRAINED = Trained(
    "tsm_mbv2", 4, ("left", "right"), Preprocessing(short_side=40, crop=32, mean=(0.1, 0.2, 0.3)), width=0.25
)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return edgevid.create_model("tsm_mbv2", 2, 4, width=0.25).state_dict()


@pytest.fixture
def request_for(tmp_path, state):
    def make(record: str, model: str = "tsm_mbv2", **options):
        path = tmp_path / "checkpoint.pt"
        torch.save({"state_dict": state, KEY: record}, path)
        return make_request(model, "cpu", tmp_path / "bundle", ExportOptions(weights=path, **options))

    return make


def test_the_export_takes_the_input_that_it_was_trained_on(request_for, state):
    request = request_for(TRAINED.as_json())
    network = build_network(request)
    assert (request.frames, request.size) == (4, 32)
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert (network.preprocessing.short_side, network.preprocessing.source) == (40, "as it was trained")
    assert torch.equal(network.module.state_dict()["classifier.weight"], state["classifier.weight"])


def test_options_override_it(request_for):
    request = request_for(TRAINED.as_json(), size=64, frames=8)
    assert (request.frames, request.size, request.spec.preprocessing.short_side) == (8, 64, 80)


def test_its_classes_become_the_labels(request_for, tmp_path):
    assert write_labels(request_for(TRAINED.as_json()), 2, tmp_path) == "training"
    assert (tmp_path / "labels.txt").read_text() == "left\nright\n"


def test_an_export_as_another_network_warns(request_for, caplog):
    request_for(TRAINED.as_json(), model="tsn_mbv2")
    assert "was trained as tsm_mbv2, not as tsn_mbv2" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 1e9}, "width must be from 0 to 4"),
        ({"frames": 0}, "frames must be from 1"),
        ({"classes": ["left\nright"]}, r"classes\[0\] must be a name"),
        ({"extra": 1}, "extra is an unknown key"),
    ],
)
def test_an_implausible_record_is_refused(request_for, change, message):
    record = json.dumps({**json.loads(TRAINED.as_json()), **change})
    with pytest.raises(WeightsError, match=message):
        request_for(record)
