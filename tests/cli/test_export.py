"""``edgevid export`` writes a proven bundle, and refuses bad requests in one line."""

from __future__ import annotations

import json
import os

import pytest
import torch
from tiny_network import Shifted, Tiny

import edgevid
from edgevid.backends import backends_of
from edgevid.backends.tensorrt import layer_info
from edgevid.errors import ExportError
from edgevid.exporter.measure import measure
from edgevid.kernels.common.build import library
from edgevid.targets import TARGETS

CPU_BACKENDS = " or ".join(backends_of(TARGETS["cpu"]))

pytestmark = pytest.mark.slow

SMALL = ["--classes", 5, "--frames", 2, "--size", 32]

NETWORKS = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)

    def forward(self, clip):
        return self.layer(clip.mean((1, 3, 4)))

class PerFrame(Mean):
    def frame_logits(self, clip):
        return self.layer(clip.mean((3, 4)))

class TwoOutputs(Mean):
    def forward(self, clip):
        return clip.mean((1, 3, 4)), clip

class Branches(Mean):
    def forward(self, clip):
        return super().forward(clip) if clip.sum() > 0 else -super().forward(clip)

class Picky(Mean):
    def forward(self, clip):
        assert clip.shape[1] == 7, "seven frames are needed"
        return super().forward(clip)

class OfficialStyle(Mean):
    # The shift as slice assignment into zeros, as the official code writes it.

    def forward(self, clip):
        n, t = clip.shape[:2]
        x = clip.repeat(1, 1, 3, 1, 1)
        y = torch.zeros_like(x)
        y[:, :-1, :2] = x[:, 1:, :2]
        y[:, 1:, 2:4] = x[:, :-1, 2:4]
        y[:, :, 4:] = x[:, :, 4:]
        return self.layer(y.view(n * t, 9, *clip.shape[3:])[:, 1:4].mean((2, 3)).view(n, t, 3).mean(1))

official_style = OfficialStyle
make_net, per_frame, two_outputs, branches, picky = Mean, PerFrame, TwoOutputs, Branches, Picky
number = lambda: 3
def broken():
    raise KeyError("no weights here")
"""


@pytest.fixture
def own_networks(tmp_path, monkeypatch):
    (tmp_path / "mynets.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mynets", raising=False)
    return tmp_path


def test_json_has_what_the_contract_says(run_edgevid, tmp_path):
    result = run_edgevid("export", "tsm_mbv2", *SMALL, "-o", tmp_path / "b", "--json")
    assert result.status == 0
    printed = json.loads(result.out)
    assert printed["bundle"] == str(tmp_path / "b")
    assert (printed["model"], printed["target"], printed["backend"]) == ("tsm_mbv2", "cpu", "onnxruntime")
    assert set(printed["parity"]) == {"max_abs", "max_rel", "tolerance", "ok"}
    assert printed["parity"]["ok"] is True
    assert 0 < printed["parity"]["max_rel"] < 1e-5
    # 2,223,872 of the backbone and 1280 x 5 + 5 of the classifier
    assert printed["parameters"] == 2_230_277
    assert printed["macs"] > 0
    assert printed["seconds"] > 0
    # Those of a session on this machine, which without a compiler has none.
    assert printed["kernels"] == ["ShiftConv x10" if library() else "TemporalShift (portable function) x10"]


def test_export_and_inspect_say_how_pixels_are_normalised_and_why(run_edgevid, own_networks):
    small = ("mynets:Mean", "--frames", 2, "--size", 32, "-o", own_networks / "b", "--force")
    result = run_edgevid("export", *small)
    assert "input: RGB, mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225 (the default, as no" in result.out
    result = run_edgevid(
        "export", *small, "--mean", "104,117,128", "--std", "1,1,1", "--color", "BGR", "--json"
    )
    preprocessing = json.loads(result.out)["preprocessing"]
    assert preprocessing["color"] == "BGR"
    assert preprocessing["mean"] == pytest.approx([104 / 255, 117 / 255, 128 / 255])
    assert preprocessing["source"] == "given with --mean and --std and --color"
    text = run_edgevid("inspect", own_networks / "b").out
    assert "BGR, mean 0.4078, 0.4588, 0.502, std 0.003922" in text
    assert "given with --mean" in text
    assert edgevid.open(own_networks / "b").manifest.preprocessing.color == "BGR"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--mean", "1,2"), "--mean takes three numbers"),
        (("--std", "0,0,0"), "--std is a divisor, so it must be above 0"),
        (("--color", "CMYK"), "--color is RGB or BGR, not CMYK"),
        (("--ema",), "--ema selects the averaged weights of a checkpoint: add --weights"),
    ],
)
def test_a_normalisation_that_cannot_be_is_refused(run_edgevid, tmp_path, options, why):
    result = run_edgevid("export", "tsm_mbv2", *SMALL, *options, "-o", tmp_path / "b")
    assert result.status == 2
    assert why in result.err
    assert not (tmp_path / "b").exists()


def test_macs_are_the_published_ones(exported):
    # torchvision's ResNet-50: 4.09 G for an image, with 1000 classes
    image = 4_089_184_256 - 1000 * 2048 + 400 * 2048
    assert measure("tsm_r50").macs == 8 * image
    bundle = exported("tsm_r50", frames=3)
    assert bundle.manifest.macs == measure("tsm_r50", num_classes=5, frames=3, size=64).macs


def test_progress_goes_to_stderr_and_the_summary_to_stdout_and_the_folder_has_its_default_name(
    run_edgevid, own_networks, caplog
):
    result = run_edgevid("export", "tsm_mbv2", *SMALL)
    assert "tracing" in result.err
    assert any("random weights" in record.message for record in caplog.records)
    assert "equal to PyTorch" in result.out
    assert "next: edgevid run" in result.out
    run_edgevid("export", "mynets:per_frame", "--frames", 2, "--size", 16, "--stream")
    bundles = {name for name in os.listdir() if os.path.isdir(name)} - {"__pycache__"}
    assert bundles == {"tsm_mbv2.cpu.onnxruntime", "per_frame.cpu.onnxruntime.stream"}


ALIASES = {TARGETS[name].same_as: name for name in TARGETS if TARGETS[name].same_as}


# A board is exported for under its alias.
@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ALIASES])
def test_every_target_takes_a_bundle(target, tmp_path, monkeypatch):
    monkeypatch.setattr(layer_info, "MODULE", "left_out_to_save_time")  # test_layer_info.py counts kernels
    bundle = edgevid.export(Shifted(), target=target, output=tmp_path / "b", frames=2, size=16)
    assert bundle.manifest.target == target
    assert bundle.manifest.backend == TARGETS[target].backend
    assert all(artefact.parity.ok for artefact in bundle.manifest.artefacts)
    assert bool(bundle.manifest.not_run) == (target != "cpu")


def test_weights_and_their_class_count_are_taken_from_the_checkpoint(run_edgevid, tmp_path):
    network = edgevid.create_model("tsm_mbv2", num_classes=7)
    torch.save({"state_dict": network.state_dict()}, tmp_path / "mine.pth.tar")
    options = ["--frames", 2, "--size", 32, "--weights", tmp_path / "mine.pth.tar", "-o", tmp_path / "b"]
    assert run_edgevid("export", "tsm_mbv2", *options).status == 0
    manifest = edgevid.open(tmp_path / "b").manifest
    assert manifest.classes == 7
    assert manifest.weights.source == "mine.pth.tar"
    assert len(manifest.weights.sha256) == 64


def test_labels_of_ones_own_travel_with_the_bundle(run_edgevid, own_networks):
    (own_networks / "cab.txt").write_text("phone\nsmoking\ndrinking\nturning\n")
    options = ["--frames", 2, "--size", 16, "--labels", own_networks / "cab.txt", "-o", "b"]
    run_edgevid("export", "mynets:make_net", *options)
    session = edgevid.open("b")
    assert session.labels == ["phone", "smoking", "drinking", "turning"]
    assert session.manifest.labels == "cab"


def test_a_network_of_ones_own_exports(run_edgevid, own_networks):
    result = run_edgevid("export", "mynets:make_net", "--frames", 3, "--size", 16, "-o", "b", "--json")
    assert json.loads(result.out)["parity"]["ok"]
    assert edgevid.open("b").manifest.inputs[0].shape == (1, 3, 3, 16, 16)


def test_a_shift_written_by_hand_becomes_a_temporal_shift(run_edgevid, own_networks):
    options = ["--frames", 4, "--size", 16, "-o", "b", "--json"]
    printed = json.loads(run_edgevid("export", "mynets:official_style", *options).out)
    assert printed["kernels"] == list(edgevid.open("b").kernels)
    assert edgevid.open("b").manifest.kernels == ("TemporalShift (portable function) x1",)
    assert printed["parity"]["ok"]


def test_a_causal_network_of_ones_own_streams(run_edgevid, own_networks):
    run_edgevid("export", "mynets:per_frame", "--frames", 3, "--size", 16, "--stream", "-o", "b")
    assert edgevid.open("b").manifest.streaming


def test_a_bidirectional_module_of_the_list_names_its_online_variant(tmp_path):
    network = edgevid.create_model("tsm_mbv2", num_classes=5, frames=2)
    with pytest.raises(ExportError, match="edgevid export tsm_mbv2_online --stream"):
        edgevid.export(network, output=tmp_path / "b", size=32, stream=True)
    assert list(tmp_path.iterdir()) == []


def test_a_module_is_left_in_the_mode_it_was_in(tmp_path):
    network = Tiny()
    network.hidden.eval()
    edgevid.export(network, output=tmp_path / "b", frames=2, size=16)
    assert network.training
    assert not network.hidden.training
    assert network.layer.training


BAD = [
    (["tsm_mbv"], ["unknown model 'tsm_mbv'", "did you mean tsm_mbv2", "edgevid list models"]),
    (["tsm_mbv2", "--target", "jetsen"], ["unknown target 'jetsen'", "did you mean jetson"]),
    (["tsm_mbv2", "--backend", "onnxruntim"], ["unknown backend", "did you mean onnxruntime"]),
    (["tsm_mbv2", "--backend", "tensorrt"], [f"supports {CPU_BACKENDS}, not tensorrt"]),
    (["tsm_mbv2", "--precision", "int8"], ["--precision int8 needs --calibration DIR"]),
    (["tsm_mbv2", "--target", "jetson-nano", "--precision", "int8"], ["supports fp16 or fp32, not int8"]),
    (["tsm_mbv2", "--precision", "fp64"], ["fp64"]),
    (["tsm_mbv2", "--target", "jetson", "--backend", "onnxruntime", "--precision", "fp16"], ["not fp16"]),
    (["tsm_mbv2", "--weights", "nowhere.pth"], ["'nowhere.pth' does not exist"]),
    (["tsm_mbv2", "--classes", "0"], ["--classes must be at least 1"]),
    (["tsm_mbv2", "--frames", "-3"], ["--frames must be at least 1"]),
    (["tsm_mbv2", "--stream"], ["looks into the future", "edgevid export tsm_mbv2_online --stream"]),
    (["tsm_r101", "--stream"], ["looks into the future", "tsm_r50_online"]),
    (["tsm_mbv2", "--labels", "kinetics", *map(str, SMALL)], ["kinetics400"]),
    (["tsm_mbv2", "--labels", "jester", *map(str, SMALL)], ["27 labels", "5 classes"]),
    (["nomodule:make"], ["cannot import 'nomodule'"]),
    (["mynets:absent"], ["has no 'absent'"]),
    (["mynets:number"], ["returned a int"]),
    (["mynets:broken"], ["KeyError", "no weights here"]),
    (["mynets:two_outputs"], ["must return logits"]),
    (["mynets:picky"], ["seven frames are needed", "--frames"]),
    (["mynets:branches"], ["torch could not trace the network"]),
    (["mynets:make_net", "--stream"], ["frame_logits"]),
    (["mynets:make_net", "--classes", "3"], ["brings its own"]),
    (["tsm_mbv2", "--colour"], ["No such option", "edgevid export --help"]),
    ([], ["Missing argument", "MODEL"]),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_a_bad_request_is_one_line_and_nothing_is_written(refuses, own_networks, arguments, words):
    before = set(os.listdir())
    refuses(["export", *arguments], *words)
    assert set(os.listdir()) - {"__pycache__"} == before - {"__pycache__"}


def test_a_wrong_class_count_is_refused(refuses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(edgevid.create_model("tsm_mbv2", num_classes=7).state_dict(), "w.pth")
    refuses(["export", "tsm_mbv2", "--weights", "w.pth", "--classes", 5], "7 classes", "--classes 7")


def test_corrupt_weights_and_those_of_another_network_are_refused(refuses, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pth").write_bytes(b"\x00" * 100)
    refuses(["export", "tsm_mbv2", "--weights", "bad.pth"], "not a PyTorch checkpoint")
    torch.save(edgevid.create_model("tsn_mbv2", num_classes=5).state_dict(), "mbv2.pth")
    refuses(["export", "tsm_r50", "--weights", "mbv2.pth"], "not the weights of this network")


def test_an_unwritable_folder_is_refused_before_the_work(refuses, tmp_path):
    (tmp_path / "file").write_text("")
    refuses(["export", "tsm_mbv2", *SMALL, "-o", tmp_path / "file" / "b"], "cannot write in")
    refuses(["export", "tsm_mbv2", *SMALL, "-o", tmp_path / "file"], "is not a folder")
    if os.path.isdir("/proc"):
        refuses(["export", "tsm_mbv2", *SMALL, "-o", "/proc/edgevid/b"], "cannot write in '/proc/edgevid'")
