"""Checkpoints of other projects: each format is recognized, and each tensor finds its place."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import torch
from official import names_and_shapes, reference, zeros_of

import edgevid
from edgevid.errors import WeightsError
from edgevid.exporter.network import build_network
from edgevid.exporter.request import make_request
from edgevid.specs.export_options import ExportOptions
from edgevid.weights import FORMATS, checkpoint_classes, recognize
from edgevid.weights.read import read_checkpoint
from edgevid.zoo.backbones.mobilenet_v2 import STAGES

pytestmark = pytest.mark.slow


def distance(actual: np.ndarray, expected: np.ndarray) -> float:
    """In standard deviations of the expected logits."""
    return float(np.abs(actual - expected).max() / expected.std())


@torch.no_grad()
def test_tsm_of_mmaction2_gives_the_logits_of_its_own_code():
    case = reference("mm_tsm_r50_8f")
    network = edgevid.load_weights(edgevid.create_model("tsm_r50"), case.state).eval()
    assert distance(network(case.clip).numpy().ravel(), case.logits) < 2e-5


@pytest.mark.parametrize(
    ("case", "model"),
    [
        ("tsm_r50_nl_8f_kinetics", "tsm_r50_nl"),
        ("mm_tsm_r50_nl_dot_8f", "tsm_r50_nl_dot"),
        ("mm_tsm_r50_tpool_8f", "tsm_r50_tpool"),
    ],
)
def test_every_tensor_of_a_checkpoint_finds_its_place(case, model):
    state = reference(case).state
    network = edgevid.load_weights(edgevid.create_model(model), state)
    assert checkpoint_classes(state) == 400
    sums = sorted(float(tensor.double().sum()) for tensor in state.values())
    assert sorted(float(tensor.double().sum()) for tensor in network.state_dict().values()) == sums


@pytest.mark.parametrize(
    ("case", "model", "first"),
    [
        ("mm_tsm_r50_tpool_8f", "tsm_r50", "backbone.layer2.net.0.conv1.conv.net.weight is unknown"),
        ("mm_tsm_r50_8f", "tsn_r50", "backbone.layer1.0.conv1.conv.net.weight is unknown"),
        ("tsm_r50_nl_8f_kinetics", "tsm_r50", "module.base_model.layer2.0.nl.g.0.weight is unknown"),
        ("tsm_r50_8f_kinetics", "tsm_r50_nl", "backbone.layer2.0.non_local.g.weight is missing"),
    ],
)
def test_a_checkpoint_of_another_structure_is_refused_by_name(case, model, first):
    with torch.device("meta"):  # which is decided by names and shapes
        network = edgevid.create_model(model)
    with pytest.raises(WeightsError, match=f"not the weights of this network: {first}"):
        edgevid.load_weights(network, zeros_of(names_and_shapes(case)))


def test_a_shift_of_whole_blocks_is_distinguished_from_one_in_the_branch():
    branch = edgevid.create_model("tsm_r50", num_classes=3)
    whole = edgevid.create_model("tsm_r50", num_classes=3, place="block")
    released = {
        name.replace("backbone.", "base_model.").replace("classifier", "new_fc"): tensor
        for name, tensor in branch.state_dict().items()
    }
    blocks = {
        ".".join([*parts[:3], "net", *parts[3:]]) if parts[1].startswith("layer") else name: tensor
        for name, tensor in released.items()
        for parts in [name.split(".")]
    }
    edgevid.load_weights(whole, blocks)
    torch.testing.assert_close(whole.backbone.layer3[1].conv2.weight, branch.backbone.layer3[1].conv2.weight)
    with pytest.raises(WeightsError, match=r"base_model.layer1.0.net.conv1.weight is unknown"):
        edgevid.load_weights(branch, blocks)


def mmaction2_mobilenet(state: dict) -> dict:
    """The names that MMAction2 gives a TSM-MobileNetV2: stages, each of blocks, each of ``ConvModule``s."""
    places = [(stage, block) for stage, (_, _, count, _) in enumerate(STAGES, 1) for block in range(count)]
    names = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "classifier":
            names[f"cls_head.fc_cls.{parts[1]}"] = tensor
            continue
        feature, rest = int(parts[2]), parts[3:]
        if feature in (0, 18):
            part = "conv" if rest[0] == "0" else "bn"
            names[f"backbone.conv{1 if feature == 0 else 2}.{part}.{rest[1]}"] = tensor
        else:
            stage, block = places[feature - 1]
            group, part = divmod(int(rest[1]), 3)
            wrapper = "net." if block > 0 and group == 0 else ""
            part = ("conv", "bn")[part]
            names[f"backbone.layer{stage}.{block}.conv.{group}.{wrapper}{part}.{rest[2]}"] = tensor
    return names


def torchvision_mobilenet(state: dict, classes: int) -> dict:
    """The names of torchvision's MobileNetV2: convolution, batch norm and activation nested in one group."""
    names = {"classifier.1.weight": torch.randn(classes, 1280), "classifier.1.bias": torch.randn(classes)}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "classifier":
            continue
        if parts[3] == "conv":
            group, inner = divmod(int(parts[4]), 3)
            groups = 1 if parts[2] == "1" else 2
            place = f"{group}.{inner}" if group < groups else str(groups + inner)
            name = ".".join(["features", parts[2], "conv", place, parts[5]])
        names[name.removeprefix("backbone.")] = tensor
    return names


def test_mobilenet_of_mmaction2_finds_its_place():
    trained = edgevid.create_model("tsm_mbv2", num_classes=5)
    network = edgevid.create_model("tsm_mbv2", num_classes=5)
    edgevid.load_weights(network, mmaction2_mobilenet(trained.state_dict()))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[name]), name
    with pytest.raises(WeightsError, match="is unknown"):
        edgevid.load_weights(
            edgevid.create_model("tsn_mbv2", num_classes=5), mmaction2_mobilenet(trained.state_dict())
        )


def resnet_of_images(name: str = "tsn_r50", classes: int = 1000) -> dict:
    """The names of torchvision's ResNet."""
    state = edgevid.create_model(name, num_classes=classes).state_dict()
    return {
        key.removeprefix("backbone.").replace("classifier", "fc"): tensor for key, tensor in state.items()
    }


def test_an_image_checkpoint_fills_the_backbone_and_leaves_the_classifier(caplog):
    images = resnet_of_images()
    network = edgevid.create_model("tsm_r50", num_classes=5)
    before = network.classifier.weight.clone()
    with caplog.at_level(logging.WARNING, logger="edgevid"):
        edgevid.load_weights(network, images)
    assert torch.equal(network.backbone.layer4[2].conv3.weight, images["layer4.2.conv3.weight"])
    assert torch.equal(network.classifier.weight, before)
    assert "torchvision's ResNet fills the backbone; untrained are classifier" in caplog.text


def test_an_image_checkpoint_with_as_many_classes_fills_the_classifier_too(caplog):
    images = resnet_of_images(classes=7)
    network = edgevid.load_weights(edgevid.create_model("tsm_r50", num_classes=7), images)
    assert torch.equal(network.classifier.weight, images["fc.weight"])
    assert "untrained" not in caplog.text


def test_an_image_checkpoint_does_not_set_the_classes_of_a_video_network():
    with torch.device("meta"):
        assert checkpoint_classes(resnet_of_images()) is None
        mobilenet = edgevid.create_model("tsn_mbv2").state_dict()
        assert checkpoint_classes(torchvision_mobilenet(mobilenet, 9)) is None


def test_a_mobilenet_of_images_fills_the_backbone():
    image_state = edgevid.create_model("tsn_mbv2").state_dict()
    network = edgevid.create_model("tsm_mbv2", num_classes=5)
    edgevid.load_weights(network, torchvision_mobilenet(image_state, 1000))
    for name, tensor in network.state_dict().items():
        assert name.startswith("classifier.") or torch.equal(tensor, image_state[name]), name


def test_layers_missing_in_image_checkpoints_do_not_change(caplog):
    network = edgevid.create_model("tsm_r50_nl", num_classes=5)
    before = network.backbone.layer2[0].non_local.g.weight.clone()
    edgevid.load_weights(network, resnet_of_images())
    assert torch.equal(network.backbone.layer2[0].non_local.g.weight, before)
    assert "backbone.layer2.0.non_local.g" in caplog.text


@pytest.mark.parametrize(
    ("images", "model", "reason"),
    [
        ("tsn_r50", "tsm_r101", "backbone.layer3.6.conv1.weight is missing"),
        ("tsm_r101", "tsm_r50", "layer3.6.conv1.weight is unknown"),
        ("tsm_rx101", "tsm_r101", r"layer1.0.conv1.weight is \(256, 64, 1, 1\), not \(64, 64, 1, 1\)"),
    ],
)
def test_an_image_checkpoint_of_another_backbone_is_refused(images, model, reason):
    with torch.device("meta"):
        network, state = edgevid.create_model(model), resnet_of_images(images)
    with pytest.raises(WeightsError, match=reason):
        edgevid.load_weights(network, zeros_of(state))


@torch.no_grad()
def test_a_first_convolution_for_flow_takes_the_mean_over_rgb():
    images = resnet_of_images()
    network = edgevid.create_model("tsn_r50", num_classes=5, modality="flow")
    edgevid.load_weights(network, images)
    weight = network.backbone.conv1.weight
    assert weight.shape == (64, 10, 7, 7)
    for channel in range(10):
        torch.testing.assert_close(weight[:, channel], images["conv1.weight"].mean(1))


def test_a_video_checkpoint_does_not_fill_a_network_of_other_channels():
    with torch.device("meta"):
        flow = edgevid.create_model("tsm_r50", modality="flow")
    with pytest.raises(WeightsError, match=r"conv1.weight is \(64, 3, 7, 7\), not \(64, 10, 7, 7\)"):
        edgevid.load_weights(flow, zeros_of(names_and_shapes("tsm_r50_8f_kinetics")))


@pytest.mark.parametrize(
    ("case", "model", "name"),
    [
        ("tsm_r50_8f_kinetics", "tsm_r50", "TSM"),
        ("tsm_mbv2_online_jester_5frames", "tsm_mbv2_online", "the online TSM demo"),
        ("mm_tsm_r50_8f", "tsm_r50", "MMAction2"),
    ],
)
def test_a_format_is_recognized_by_its_names(case, model, name):
    with torch.device("meta"):
        expected = edgevid.create_model(model).state_dict()
    assert recognize(FORMATS, names_and_shapes(case), expected)[0].name == name


class TestPaddleFiles:
    """PaddleVideo's files are pickles of arrays, with linear layers as (in, out)."""

    @staticmethod
    def stored(state: dict) -> dict:
        """As ``paddle.save`` lays them out, with the name that each parameter has inside."""
        arrays = {
            name: (tensor.T if tensor.ndim == 2 else tensor).numpy().copy() for name, tensor in state.items()
        }
        return {**arrays, "StructuredToParameterName@@": dict.fromkeys(arrays, "conv_weights")}

    @pytest.mark.parametrize("protocol", [2, 4, 5])
    def test_a_file_loads_with_its_classifier_turned(self, tmp_path, protocol):
        state = reference("pptsm_mv2_8f").state
        path = tmp_path / "ppTSM.pdparams"
        path.write_bytes(pickle.dumps(self.stored(state), protocol))
        network = edgevid.load_weights(edgevid.create_model("pptsm_mbv2"), path)
        assert torch.equal(network.classifier.weight, state["backbone.out.weight"])
        assert torch.equal(
            network.backbone.features[18][1].running_var, state["backbone.conv9._batch_norm._variance"]
        )
        assert checkpoint_classes(read_checkpoint(path).state().tensors) == 400

    def test_a_square_classifier_is_turned_too(self):
        network = edgevid.create_model("pptsm_mbv2", num_classes=1280)
        state = reference("pptsm_mv2_8f").state
        state["backbone.out.weight"] = torch.randn(1280, 1280)
        state["backbone.out.bias"] = torch.zeros(1280)
        edgevid.load_weights(network, state)
        assert torch.equal(network.classifier.weight, state["backbone.out.weight"].T)

    def test_arrays_with_a_name_beside_them_are_read(self, tmp_path):
        path = tmp_path / "named.pdparams"
        path.write_bytes(pickle.dumps({"fc.weight": ("linear_0.w_0", np.arange(3.0))}, 2))
        assert read_checkpoint(path).state().tensors["fc.weight"].tolist() == [0, 1, 2]

    def test_a_wrong_class_count_is_refused_with_the_right_one(self):
        state = reference("pptsm_mv2_8f").state
        state["backbone.out.weight"] = state["backbone.out.weight"].T
        with pytest.raises(WeightsError, match="has 400 classes, the network 5: use --classes 400"):
            edgevid.load_weights(edgevid.create_model("pptsm_mbv2", num_classes=5), state)

    def test_a_file_cannot_run_code(self, tmp_path):
        class Attack:
            def __reduce__(self):
                return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

        path = tmp_path / "attack.pdparams"
        path.write_bytes(pickle.dumps({"fc.weight": Attack()}))
        with pytest.raises(WeightsError, match=r"Python objects besides arrays \(it holds builtins.exec\)"):
            edgevid.load_weights(edgevid.create_model("pptsm_mbv2"), path)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"a": np.zeros(9)})[:40]])
    def test_a_damaged_file_is_refused_in_words(self, tmp_path, content):
        path = tmp_path / "weights.pdparams"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="is not a Paddle checkpoint, or is damaged"):
            edgevid.load_weights(edgevid.create_model("pptsm_mbv2"), path)


def test_an_export_takes_an_image_checkpoint_and_the_networks_own_classes(tmp_path, caplog):
    image_state = edgevid.create_model("tsn_mbv2").state_dict()
    torch.save(torchvision_mobilenet(image_state, 1000), tmp_path / "mobilenet_v2.pth")
    options = ExportOptions(weights=tmp_path / "mobilenet_v2.pth")
    network = build_network(make_request("tsm_mbv2", "cpu", tmp_path / "bundle", options))
    assert network.module.classifier.out_features == 400
    assert torch.equal(
        network.module.backbone.features[18][0].weight, image_state["backbone.features.18.0.weight"]
    )
    assert network.source == "mobilenet_v2.pth"
    assert "untrained are classifier" in caplog.text
