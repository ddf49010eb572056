"""Wrappers around a network in a checkpoint are removed, and one log line reports them."""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import logging
import pathlib
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

import edgevid
from edgevid.errors import WeightsError
from edgevid.weights import checkpoint_classes
from edgevid.weights.read import digest_of, read_checkpoint


class Tiny(nn.Module):
    """A network whose own layers have the names of wrappers."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"conv1": nn.Conv2d(3, 4, 3), "bn1": nn.BatchNorm2d(4)})
        self.model = nn.ModuleDict({"model": nn.Linear(4, 4), "module": nn.Linear(4, 4)})
        self.classifier = nn.Linear(4, 5)


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        name: torch.randn_like(tensor) if tensor.is_floating_point() else tensor + 7
        for name, tensor in Tiny().state_dict().items()
    }


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "edgevid")
    return lambda: [record.message for record in caplog.records if record.message.startswith("weights: ")]


def before(prefix: str, state: dict) -> dict:
    return {prefix + name: tensor for name, tensor in state.items()}


def averages(state: dict) -> dict:
    return {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def assert_holds(network: nn.Module, state: dict) -> None:
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name]), name


PREFIXES = [
    "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.", "model.", "net.",
    "network.", "model._orig_mod.", "_forward_module.model.", "backbone.", "tsm.", "model.model.",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_removed_and_reported(trained, prefix, messages):
    network = edgevid.load_weights(Tiny(), {"epoch": 3, "state_dict": before(prefix, trained)})
    assert_holds(network, trained)
    assert messages() == [f"weights: removed '{prefix}'"]


def test_layers_named_like_wrappers_keep_their_names(trained, messages):
    assert_holds(edgevid.load_weights(Tiny(), trained), trained)
    assert not messages()


def test_wrappers_inside_names_are_removed(trained, messages):
    inside = {
        name.replace("backbone.conv1", "backbone._orig_mod.conv1._fsdp_wrapped_module"): tensor
        for name, tensor in trained.items()
    }
    assert_holds(edgevid.load_weights(Tiny(), inside), trained)
    assert messages() == ["weights: removed wrappers inside names"]
    compiled = {name.replace("backbone.", "backbone.module."): tensor for name, tensor in trained.items()}
    compiled = {name: tensor for name, tensor in compiled.items() if "model" not in name}
    network = nn.ModuleDict({"backbone": Tiny().backbone, "classifier": nn.Linear(4, 5)})
    edgevid.load_weights(network, compiled)
    assert torch.equal(network.backbone.conv1.weight, trained["backbone.conv1.weight"])


@pytest.mark.parametrize("prefix", ["module._orig_mod.", "model."])
def test_released_names_are_found_behind_a_prefix(prefix):
    network = edgevid.create_model("tsm_mbv2", num_classes=3, frames=2)
    own = network.state_dict()
    released = {
        prefix + name.replace("backbone.", "base_model.", 1).replace("classifier.", "new_fc.", 1): tensor
        for name, tensor in own.items()
    }
    assert checkpoint_classes(released) == 3
    other = edgevid.load_weights(edgevid.create_model("tsm_mbv2", num_classes=3, frames=2), released)
    assert_holds(other, own)


def test_losses_metrics_and_counters_are_ignored_and_counted(trained, messages):
    state = before("model.", trained) | {
        "criterion.weight": torch.ones(5),
        "loss_fn.pos_weight": torch.ones(5),
        "val_acc.correct": torch.zeros(()),
        "model.total_ops": torch.zeros(1),
        "model.backbone.conv1.total_ops": torch.zeros(1),
        "model.backbone.conv1.total_params": torch.zeros(1),
    }
    assert_holds(edgevid.load_weights(Tiny(), {"state_dict": state}), trained)
    (line,) = messages()
    assert line == "weights: removed 'model.'; ignored 3 loss weights, 3 counters"


def test_an_unknown_tensor_is_refused_by_name(trained):
    state = before("model.", trained) | {"decoder.weight": torch.ones(3)}
    with pytest.raises(WeightsError, match=r"decoder\.weight is unknown"):
        edgevid.load_weights(Tiny(), state)


def test_two_networks_with_the_same_names_are_refused(trained):
    state = before("student.", trained) | before("teacher.", averages(trained))
    with pytest.raises(WeightsError, match=r"two networks with these names, 'student\.' and 'teacher\.'"):
        edgevid.load_weights(Tiny(), state)


def lightning(state: dict, **more) -> dict:
    return {
        "epoch": 4,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": before("net.", state),
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.6)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]}],
        "hyper_parameters": {"lr": 0.01},
        **more,
    }


WRAPPED = {
    "lightning": lightning,
    "beside an optimizer": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []},
    },
    "model_state": lambda state: {"model_state": state, "cfg": "yaml"},
    "params": lambda state: {"params": state},
    "twice": lambda state: {"checkpoint": 1, "model": {"state_dict": before("module.", state)}},
    "deepspeed": lambda state: {"module": state, "dp_world_size": 2, "buffer_names": []},
    "an unusual key": lambda state: {"my_tsm": state, "optimizer": {"state": {}}},
    "parameters": lambda state: {
        name: nn.Parameter(t) if t.is_floating_point() else t for name, t in state.items()
    },
    "arrays": lambda state: {name: tensor.numpy() for name, tensor in state.items()},
    "torch's average alone": lambda state: before("module.", state) | {"n_averaged": torch.tensor(9)},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_state_dict_is_found_in_any_container(trained, wrap, tmp_path):
    torch.save(wrap(trained), tmp_path / "saved.ckpt")
    assert_holds(edgevid.load_weights(Tiny(), tmp_path / "saved.ckpt"), trained)


def test_several_state_dicts_under_unusual_keys_are_refused(trained):
    with pytest.raises(
        WeightsError, match=r"several state dicts \('left', 'right'\): save only the network's"
    ):
        edgevid.load_weights(Tiny(), {"left": trained, "right": trained})


def flat(state: dict, joint: str) -> dict:
    """Averages of the parameters only, as LitEma ('') and MMCV's hook ('_') flatten their names."""
    return {
        name.replace(".", joint): tensor
        for name, tensor in averages(state).items()
        if not name.startswith("backbone.bn1.")
    }


AVERAGED = {
    "second dict": lambda state: {"state_dict": state, "state_dict_ema": averages(state)},
    "model_ema": lambda state: {
        "model": before("module.", state),
        "model_ema": before("module.", averages(state)),
    },
    "nested": lambda state: {"model": state, "ema": {"decay": 0.99, "shadow": averages(state)}},
    "torch's average": lambda state: {
        "model": state,
        "swa_model": before("module.", averages(state)) | {"n_averaged": torch.tensor(3)},
    },
    "in lightning": lambda state: {
        "state_dict": before("model.", state) | before("ema_model.module.", averages(state))
    },
    "flat": lambda state: {
        "state_dict": before("model.", state)
        | before(
            "model_ema.", {**flat(state, ""), "decay": torch.tensor(0.99), "num_updates": torch.tensor(4)}
        )
    },
    "buffers": lambda state: {"state_dict": state | before("ema_", flat(state, "_"))},
}


@pytest.mark.parametrize("wrap", AVERAGED.values(), ids=AVERAGED)
def test_trained_and_averaged_weights_are_distinguished(trained, wrap, messages):
    checkpoint = wrap(trained)
    assert_holds(edgevid.load_weights(Tiny(), checkpoint), trained)
    assert messages()[0].endswith("used the trained weights, not their average (EMA), which --ema selects")
    network = edgevid.load_weights(Tiny(), checkpoint, ema=True)
    for name, tensor in averages(trained).items():
        is_statistic = name.startswith("backbone.bn1.")  # which the flat ones do not have
        mine = network.state_dict()[name]
        assert torch.equal(mine, tensor) or (is_statistic and torch.equal(mine, trained[name])), name
    assert "used the averaged weights (EMA)" in messages()[1]


def test_a_checkpoint_with_only_averages_loads_them_and_logs_it(trained, messages):
    assert_holds(edgevid.load_weights(Tiny(), {"model_ema": trained}), trained)
    assert messages() == ["weights: used the averaged weights (EMA), as there are no others"]


def test_missing_averages_cannot_be_selected(trained):
    with pytest.raises(WeightsError, match="holds no averaged weights"):
        edgevid.load_weights(Tiny(), trained, ema=True)


def test_a_networks_own_buffers_are_not_averages():
    network = nn.Module()
    network.ema = nn.Linear(2, 2)
    network.register_buffer("ema_count", torch.tensor([3.0]))
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    assert_holds(edgevid.load_weights(network, before("module.", state)), state)


BESIDE = {
    "a NumPy number": np.float64(0.5),
    "a NumPy array": np.arange(3),
    "texts in an array": np.array(["a", "b"]),
    "a name space": argparse.Namespace(lr=0.1, arch="tsm", path=pathlib.Path("data")),
    "a date": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "a path": pathlib.Path("runs"),
    "a size": torch.Size([1, 2]),
    "dictionaries": collections.defaultdict(list, a=collections.OrderedDict(b=[1])),
    "a queue": collections.deque([1.0], maxlen=3),
}


@pytest.mark.parametrize("value", BESIDE.values(), ids=BESIDE)
def test_inert_values_next_to_the_tensors_are_harmless(trained, value, tmp_path):
    torch.save({"state_dict": trained, "beside": value}, tmp_path / "saved.pth")
    assert_holds(edgevid.load_weights(Tiny(), tmp_path / "saved.pth"), trained)


class Config:
    """A type of the user's own."""


def test_configurations_of_training_frameworks_are_ignored(trained, tmp_path, monkeypatch):
    module = types.ModuleType("easydict")
    module.EasyDict = type("EasyDict", (dict,), {"__module__": "easydict"})
    config = module.EasyDict(lr=1)
    config.lr = 1
    with monkeypatch.context() as installed:  # where it was trained, not here
        installed.setitem(sys.modules, "easydict", module)
        torch.save({"state_dict": trained, "config": config}, tmp_path / "saved.pth")
    assert_holds(edgevid.load_weights(Tiny(), tmp_path / "saved.pth"), trained)


@pytest.mark.parametrize(
    ("value", "name"),
    [(Config(), f"{Config.__module__}.Config"), (nn.Linear(1, 1), "torch.nn.modules.linear.Linear")],
)
def test_any_other_type_is_refused_by_name(trained, value, name, tmp_path):
    torch.save({"state_dict": trained, "beside": value}, tmp_path / "saved.pth")
    with pytest.raises(WeightsError, match=rf"Python objects besides tensors \({name}\)"):
        edgevid.load_weights(Tiny(), tmp_path / "saved.pth")


def test_a_pickled_network_is_refused_with_a_remedy(tmp_path):
    torch.save(nn.Sequential(nn.Linear(1, 1)), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn\..*whole networks.*save only its state_dict\(\)"):
        edgevid.load_weights(Tiny(), tmp_path / "whole.pth")


class TestShards:
    """Several files, with an index that maps tensors to files."""

    @pytest.fixture(params=["model.safetensors", "pytorch_model.bin"])
    def folder(self, request, tmp_path, trained):
        safetensors = pytest.importorskip("safetensors.torch")
        stem, _, ending = request.param.rpartition(".")
        names = sorted(trained)
        weight_map = {}
        for part, part_names in enumerate((names[::2], names[1::2]), 1):
            file = f"{stem}-{part:05}-of-00002.{ending}"
            weight_map |= dict.fromkeys(part_names, file)
            tensors = {name: trained[name].contiguous() for name in part_names}
            save = torch.save if ending == "bin" else safetensors.save_file
            save(tensors, tmp_path / file)
        index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        (tmp_path / f"{request.param}.index.json").write_text(json.dumps(index))
        return tmp_path

    def test_they_load_by_their_folder_and_by_their_index(self, folder, trained):
        assert_holds(edgevid.load_weights(Tiny(), folder), trained)
        (index,) = folder.glob("*.index.json")
        assert_holds(edgevid.load_weights(Tiny(), index), trained)
        assert digest_of(folder) == digest_of(index)

    def test_a_missing_shard_is_named(self, folder):
        (first,) = folder.glob("*-00001-of-*")
        first.unlink()
        with pytest.raises(WeightsError, match=f"{first.name}' is missing, which the index"):
            edgevid.load_weights(Tiny(), folder)

    @pytest.mark.parametrize("name", ["../other.bin", "/etc/passwd", "..", ""])
    def test_an_index_does_not_lead_out_of_its_folder(self, tmp_path, name):
        path = tmp_path / "model.safetensors.index.json"
        path.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(WeightsError, match="names files outside its folder"):
            edgevid.load_weights(Tiny(), path)

    @pytest.mark.parametrize("content", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
    def test_an_invalid_index_is_refused(self, tmp_path, content):
        path = tmp_path / "model.safetensors.index.json"
        path.write_text(content)
        with pytest.raises(WeightsError, match="index"):
            edgevid.load_weights(Tiny(), path)


def test_one_file_of_safetensors_loads_and_a_damaged_one_is_refused(trained, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "model.safetensors"
    safetensors.save_file({name: tensor.contiguous() for name, tensor in trained.items()}, path)
    assert set(read_checkpoint(path).state().tensors) == set(trained)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(WeightsError, match="not a safetensors checkpoint, or is damaged"):
        edgevid.load_weights(Tiny(), path)


def test_a_folder_without_a_checkpoint_is_refused_with_the_expected_names(tmp_path):
    with pytest.raises(WeightsError, match=r"is a folder without model\.safetensors\.index\.json"):
        edgevid.load_weights(Tiny(), tmp_path)


def test_mmengines_average_counts_its_steps(trained, tmp_path):
    average = averages(trained)
    path = tmp_path / "mmengine.pth"
    ema = {"steps": torch.tensor(3), **before("module.", average)}
    torch.save({"state_dict": trained, "ema_state_dict": ema, "meta": {"epoch": 1}}, path)
    assert_holds(edgevid.load_weights(Tiny(), path, ema=True), average)
    assert_holds(edgevid.load_weights(Tiny(), path), trained)


def test_the_average_of_a_lightning_callback_is_loaded(trained):
    average = averages(trained)
    content = {
        "state_dict": before("model.", trained),
        "callbacks": {"EMA": {"ema_state_dict": before("model.", average)}, "Stop": {"wait": 3}},
    }
    assert_holds(edgevid.load_weights(Tiny(), content, ema=True), average)
    assert_holds(edgevid.load_weights(Tiny(), content), trained)


def test_usual_keys_are_found_under_an_unusual_one(trained):
    content = {"checkpoint": {"model": {"state_dict": trained}}, "epoch": 3}
    assert_holds(edgevid.load_weights(Tiny(), content), trained)


@pytest.mark.parametrize("kind", ["meta", "sparse"])
def test_tensors_without_plain_values_are_refused_by_name(trained, kind):
    change = {"meta": lambda t: t.to("meta"), "sparse": lambda t: t.to_sparse()}[kind]
    content = trained | {"classifier.bias": change(trained["classifier.bias"])}
    network = Tiny()
    before_load = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=r"'classifier\.bias'"):
        edgevid.load_weights(network, content)
    assert_holds(network, before_load)
